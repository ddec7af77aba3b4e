/* OpenSSL as Swift sees it. SHA1() is what the opening handshake needs (RFC 6455 §4.2.2). */
#ifndef CSSL_H
#define CSSL_H

#include <openssl/sha.h>

#endif
