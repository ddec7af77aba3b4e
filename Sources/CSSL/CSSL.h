/* OpenSSL as Swift sees it: SHA1() for the opening handshake (RFC 6455 §4.2.2), and TLS. */
#ifndef CSSL_H
#define CSSL_H

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/sha.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#endif
