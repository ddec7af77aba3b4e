// SPDX-License-Identifier: Apache-2.0
//
// What Swift cannot say to OpenSSL 3 for itself: its macros, a BIO over a non-blocking descriptor, and the callbacks
// that choose a protocol and protect tickets. Everything else is Swift, in RoostIO/TLS, which alone calls this.
//
// No function here leaves anything in the thread's error queue that OpenSSL has not put there for its caller.
#ifndef CROOST_TLS_H
#define CROOST_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// OpenSSL's own types; declared, not included, so that they are one module's (CSSL).
struct ssl_st;
struct ssl_ctx_st;
struct bio_st;
struct x509_st;
struct X509_name_st;

// --- A descriptor as a BIO -----------------------------------------------------------------------------------------

// One socket under one session. The caller's memory; it outlives the BIO.
typedef struct {
  int descriptor;     // the caller's: the BIO never closes it
  int error;          // errno of the call that broke the connection; 0: none did
  int64_t allowance;  // bytes that recv(2) may still take; then a retry is asked for as if the socket were empty
  bool has_ended;     // the peer has ended its side: recv(2) returned 0
  bool is_empty;      // the last recv(2) found nothing (EAGAIN)
  bool is_drained;    // it found nothing, or less than it asked for: the next byte will be announced
} roost_tls_socket;

// A BIO that reads with recv(2) and writes with send(2) and MSG_NOSIGNAL, retries EINTR, and asks for a retry on EAGAIN
// and ENOBUFS. Its end of file is no error of its own: `has_ended` tells of it. NULL when memory is short.
struct bio_st *_Nullable roost_tls_bio(roost_tls_socket *_Nonnull socket);

// --- Contexts ------------------------------------------------------------------------------------------------------

// A context with what is the same for every one of ours: no version below `minimum_version` (a wire version: 0x0303,
// 0x0304), no compression, renegotiation or early data; buffers released while idle. NULL: OpenSSL's error queue tells.
struct ssl_ctx_st *_Nullable roost_tls_context(bool is_server, int minimum_version);

// A server that is offered protocols (ALPN) takes http/1.1, and refuses a client that does not offer it with
// no_application_protocol (RFC 7301 §3.2).
void roost_tls_accept_http(struct ssl_ctx_st *_Nonnull context);

// Calls `choose` with the session and `argument` for each ClientHello, before a certificate is needed. It returns one
// of SSL_TLSEXT_ERR_..., after SSL_set_SSL_CTX() where another context's certificates serve the name that is asked for.
typedef int (*roost_tls_choose)(
    struct ssl_st *_Nullable session, int *_Nullable alert, void *_Nullable argument);
void roost_tls_choose_by_name(
    struct ssl_ctx_st *_Nonnull context, roost_tls_choose _Nonnull choose, void *_Nonnull argument);

// One more certificate of the chain of the certificate set last, which gets a reference of its own. 1: done.
int roost_tls_add_chain(struct ssl_ctx_st *_Nonnull context, struct x509_st *_Nonnull certificate);
int roost_tls_set_groups(struct ssl_ctx_st *_Nonnull context, const char *_Nonnull groups);
int roost_tls_set_server_name(struct ssl_st *_Nonnull session, const char *_Nonnull name);
// As RFC 2253 writes it, non-ASCII escaped.
void roost_tls_print_name(struct bio_st *_Nonnull bio, const struct X509_name_st *_Nullable name);

// --- Resumption ----------------------------------------------------------------------------------------------------

// The keys of stateless tickets (RFC 5077, RFC 8446 §4.6.1), shared by contexts; any thread. The current one protects
// new tickets for half of `seconds_max` and is accepted for the other half. No ticket is accepted, on whatever chain of
// resumptions, later than `seconds_max` after the full handshake that it goes back to.
typedef struct roost_tls_tickets roost_tls_tickets;

// NULL: no memory, or no randomness.
roost_tls_tickets *_Nullable roost_tls_tickets_create(int64_t seconds_max);
void roost_tls_tickets_destroy(roost_tls_tickets *_Nonnull tickets);
// Makes the context use `tickets`, which outlives the context and every session of it.
void roost_tls_use_tickets(struct ssl_ctx_st *_Nonnull context, roost_tls_tickets *_Nonnull tickets);
// Moves the tickets' clock on, for tests.
void roost_tls_tickets_advance(roost_tls_tickets *_Nonnull tickets, int64_t seconds);

#endif
