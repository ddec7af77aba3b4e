/* zlib as Swift sees it: what permessage-deflate needs (RFC 7692), with functions in place of macros. */
#ifndef CZLIB_H
#define CZLIB_H

/* Input is not written to. */
#define ZLIB_CONST
#include <zlib.h>

/* deflateInit2 for a raw DEFLATE stream (RFC 1951), without header and checksum. */
static inline int czlib_deflate_init(z_stream *stream, int level, int window_bits, int memory_level, int strategy) {
    return deflateInit2(stream, level, Z_DEFLATED, -window_bits, memory_level, strategy);
}

/* inflateInit2 for a raw DEFLATE stream. */
static inline int czlib_inflate_init(z_stream *stream, int window_bits) {
    return inflateInit2(stream, -window_bits);
}

#endif
