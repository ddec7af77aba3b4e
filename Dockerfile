# Roost's daemon: built by the commands that CI runs, shipped without a toolchain.
FROM swift:6.3.1-bookworm AS build
WORKDIR /src
COPY Makefile ./
COPY Scripts/deps Scripts/deps
RUN make deps
COPY . .
RUN make install DESTDIR=/stage PREFIX=/usr

FROM debian:12-slim
RUN apt-get update -qq \
    && apt-get install -qq -y --no-install-recommends ca-certificates libssl3 libstdc++6 zlib1g > /dev/null \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --no-create-home --shell /usr/sbin/nologin roost
COPY --from=build /stage /
USER roost
EXPOSE 9001
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/bin/roost"]
CMD ["serve", "--listen", "0.0.0.0:9001"]
