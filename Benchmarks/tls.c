// SPDX-License-Identifier: Apache-2.0
// The load generator's TLS: one context, one cipher suite and one curve, so that every server does the same work.
#define _GNU_SOURCE
#include "loadgen.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <sys/socket.h>

static const char cipherSuites[] = "TLS_AES_128_GCM_SHA256";
static const char groups[] = "X25519";
static SSL_CTX *context;
enum { sessionCountMax = 4096 };
static SSL_SESSION *sessions[sessionCountMax];  // what connections resume with --resume, each once, the newest first
static size_t sessionCount;
static char negotiated[96];

/// TLS 1.3 brings its tickets after the handshake.
static int keepSession(SSL *tls, SSL_SESSION *session) {
    (void)tls;
    if (sessionCount == sessionCountMax) return 0;
    sessions[sessionCount++] = session;
    return 1;  // it is ours now
}

void prepareTLS(void) {
    context = SSL_CTX_new(TLS_client_method());
    if (!context || !SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) ||
        !SSL_CTX_set_ciphersuites(context, cipherSuites) || !SSL_CTX_set1_groups_list(context, groups))
        fail("OpenSSL cannot speak TLS 1.3 with %s", cipherSuites);
    if (!SSL_CTX_load_verify_locations(context, options.authority, NULL)) fail("cannot read %s", options.authority);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_read_ahead(context, 1);
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                  SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_options(context, SSL_OP_IGNORE_UNEXPECTED_EOF);
    if (!options.resumes) return;
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(context, keepSession);
}

void beginTLS(struct connection *c) {
    c->tls = SSL_new(context);
    if (!c->tls || !SSL_set_fd(c->tls, c->descriptor) || !SSL_set_tlsext_host_name(c->tls, "localhost") ||
        !SSL_set1_host(c->tls, "localhost"))
        fail("out of memory for TLS");
    if (sessionCount) {
        SSL_SESSION *session = sessions[--sessionCount];
        SSL_set_session(c->tls, session);
        SSL_SESSION_free(session);
    }
    SSL_set_connect_state(c->tls);
}

enum handshake continueTLS(struct connection *c) {
    ERR_clear_error();
    int result = SSL_do_handshake(c->tls);
    if (result == 1) {
        if (SSL_session_reused(c->tls)) statistics.resumed++;
        if (!*negotiated)
            snprintf(negotiated, sizeof negotiated, "%s %s", SSL_get_version(c->tls), SSL_get_cipher_name(c->tls));
        return handshakeDone;
    }
    switch (SSL_get_error(c->tls, result)) {
    case SSL_ERROR_WANT_READ: return handshakeReads;
    case SSL_ERROR_WANT_WRITE: return handshakeWrites;
    default: return handshakeFailed;
    }
}

void endTLS(struct connection *c) {
    if (!c->tls) return;
    // Without this OpenSSL takes it for broken off and resumes its session no more.
    if (SSL_is_init_finished(c->tls)) SSL_set_shutdown(c->tls, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(c->tls);
    c->tls = NULL;
}

const char *negotiatedTLS(void) { return negotiated; }

/// What `send` and `recv` would have returned.
static ssize_t outcome(struct connection *c, int result) {
    switch (SSL_get_error(c->tls, result)) {
    case SSL_ERROR_WANT_READ: case SSL_ERROR_WANT_WRITE: errno = EAGAIN; return -1;
    case SSL_ERROR_ZERO_RETURN: return 0;
    case SSL_ERROR_SYSCALL: if (!errno) errno = ECONNRESET; return -1;
    default: errno = EPROTO; return -1;
    }
}

ssize_t sendBytes(struct connection *c, const void *bytes, size_t byteCount) {
    if (!c->tls) return send(c->descriptor, bytes, byteCount, MSG_NOSIGNAL);
    ERR_clear_error();
    int n = SSL_write(c->tls, bytes, byteCount);
    return n > 0 ? n : outcome(c, n);
}

ssize_t receiveBytes(struct connection *c, void *bytes, size_t byteCount) {
    if (!c->tls) return recv(c->descriptor, bytes, byteCount, 0);
    size_t total = 0;
    while (total < byteCount) {
        ERR_clear_error();
        int n = SSL_read(c->tls, (uint8_t *)bytes + total, byteCount - total);
        if (n <= 0) return total ? (ssize_t)total : outcome(c, n);
        total += n;
    }
    return total;
}
