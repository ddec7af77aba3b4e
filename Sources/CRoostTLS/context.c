// SPDX-License-Identifier: Apache-2.0
//
// What every context of ours has in common, and the two choices that a server makes about a ClientHello.
#include <openssl/ssl.h>
#include <string.h>

#include "croost_tls.h"

struct ssl_ctx_st *roost_tls_context(bool is_server, int minimum_version) {
  SSL_CTX *context = SSL_CTX_new(is_server ? TLS_server_method() : TLS_client_method());
  if (context == NULL) return NULL;
  // All that the system's openssl.cnf may have allowed and we do not goes again.
  SSL_CTX_clear_options(context, SSL_OP_ALLOW_UNSAFE_LEGACY_RENEGOTIATION | SSL_OP_LEGACY_SERVER_CONNECT |
                                     SSL_OP_ALLOW_CLIENT_RENEGOTIATION);
  SSL_CTX_set_options(context, SSL_OP_NO_SSLv3 | SSL_OP_NO_TLSv1 | SSL_OP_NO_TLSv1_1 | SSL_OP_NO_COMPRESSION |
                                   SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE |
                                   SSL_OP_PRIORITIZE_CHACHA | SSL_OP_NO_SESSION_RESUMPTION_ON_RENEGOTIATION);
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_NO_AUTO_CHAIN |
                                SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  // One recv(2) for a record instead of two. The buffer is released all the same once it is empty.
  SSL_CTX_set_read_ahead(context, 1);
  SSL_CTX_set_security_level(context, 2);
  SSL_CTX_set_max_early_data(context, 0);
  SSL_CTX_set_recv_max_early_data(context, 0);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  if (SSL_CTX_set_min_proto_version(context, minimum_version) != 1 || SSL_CTX_set_max_proto_version(context, 0) != 1) {
    SSL_CTX_free(context);
    return NULL;
  }
  return context;
}

static int select_http(
    SSL *session, const unsigned char **out, unsigned char *out_length, const unsigned char *in, unsigned in_length,
    void *argument) {
  (void)session, (void)argument;
  static const char http[] = "http/1.1";
  // OpenSSL has checked that the list is well formed.
  for (unsigned at = 0; at < in_length; at += 1 + in[at]) {
    if (in[at] != sizeof http - 1 || memcmp(&in[at + 1], http, sizeof http - 1) != 0) continue;
    *out = &in[at + 1];
    *out_length = in[at];
    return SSL_TLSEXT_ERR_OK;
  }
  return SSL_TLSEXT_ERR_ALERT_FATAL;
}

void roost_tls_accept_http(struct ssl_ctx_st *context) { SSL_CTX_set_alpn_select_cb(context, select_http, NULL); }

void roost_tls_choose_by_name(struct ssl_ctx_st *context, roost_tls_choose choose, void *argument) {
  SSL_CTX_set_tlsext_servername_callback(context, choose);
  SSL_CTX_set_tlsext_servername_arg(context, argument);
}

int roost_tls_add_chain(struct ssl_ctx_st *context, struct x509_st *certificate) {
  return SSL_CTX_add1_chain_cert(context, certificate) == 1;
}

int roost_tls_set_groups(struct ssl_ctx_st *context, const char *groups) {
  return SSL_CTX_set1_groups_list(context, groups) == 1;
}

int roost_tls_set_server_name(struct ssl_st *session, const char *name) {
  return SSL_set_tlsext_host_name(session, name) == 1;
}

void roost_tls_print_name(struct bio_st *bio, const struct X509_name_st *name) {
  X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253);
}
