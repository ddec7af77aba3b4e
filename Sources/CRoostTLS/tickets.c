// SPDX-License-Identifier: Apache-2.0
//
// Stateless tickets whose keys rotate. OpenSSL's own key is made once per context and never changes: whoever learns it
// reads every TLS 1.2 session that was ever resumed with it.
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "croost_tls.h"

#define NAME_SIZE 16

typedef struct {
  unsigned char name[NAME_SIZE];
  unsigned char cipher_key[32];
  unsigned char mac_key[32];
  int64_t made;
} ticket_key;

struct roost_tls_tickets {
  pthread_mutex_t lock;  // of all below but `seconds_max`; a leaf
  int64_t seconds_max;
  int64_t advanced;
  bool has_previous;
  ticket_key current;
  ticket_key previous;
};

static int64_t now(const roost_tls_tickets *tickets) {
  struct timespec time;
  clock_gettime(CLOCK_BOOTTIME, &time);  // goes on while the machine sleeps
  return time.tv_sec + tickets->advanced;
}

static bool make_key(ticket_key *key, int64_t made) {
  key->made = made;
  return RAND_bytes(key->name, sizeof key->name) == 1 &&
         RAND_priv_bytes(key->cipher_key, sizeof key->cipher_key) == 1 &&
         RAND_priv_bytes(key->mac_key, sizeof key->mac_key) == 1;
}

roost_tls_tickets *roost_tls_tickets_create(int64_t seconds_max) {
  roost_tls_tickets *tickets = calloc(1, sizeof *tickets);
  if (tickets == NULL) return NULL;
  tickets->seconds_max = seconds_max;
  pthread_mutex_init(&tickets->lock, NULL);
  if (!make_key(&tickets->current, now(tickets))) {
    roost_tls_tickets_destroy(tickets);
    return NULL;
  }
  return tickets;
}

void roost_tls_tickets_destroy(roost_tls_tickets *tickets) {
  pthread_mutex_destroy(&tickets->lock);
  OPENSSL_cleanse(tickets, sizeof *tickets);
  free(tickets);
}

void roost_tls_tickets_advance(roost_tls_tickets *tickets, int64_t seconds) {
  pthread_mutex_lock(&tickets->lock);
  tickets->advanced += seconds;
  pthread_mutex_unlock(&tickets->lock);
}

// Brings the keys up to date. Under the lock. False: there is no randomness for a new one.
static bool rotate(roost_tls_tickets *tickets) {
  int64_t time = now(tickets);
  int64_t half = tickets->seconds_max / 2;
  if (time - tickets->current.made >= half) {
    ticket_key fresh;
    if (!make_key(&fresh, time)) return false;
    tickets->previous = tickets->current;
    tickets->has_previous = true;
    tickets->current = fresh;
    OPENSSL_cleanse(&fresh, sizeof fresh);
  }
  if (tickets->has_previous && time - tickets->previous.made >= tickets->seconds_max) {
    OPENSSL_cleanse(&tickets->previous, sizeof tickets->previous);
    tickets->has_previous = false;
  }
  return true;
}

// 1: `out` is the key for new tickets, or the one called `name`; 2: it is the previous one; 0: unknown; -1: failed.
static int find_key(roost_tls_tickets *tickets, const unsigned char *name, ticket_key *out) {
  int found = 0;
  pthread_mutex_lock(&tickets->lock);
  if (!rotate(tickets)) {
    found = -1;
  } else if (name == NULL || memcmp(name, tickets->current.name, NAME_SIZE) == 0) {
    *out = tickets->current;
    found = 1;
  } else if (tickets->has_previous && memcmp(name, tickets->previous.name, NAME_SIZE) == 0) {
    *out = tickets->previous;
    found = 2;
  }
  pthread_mutex_unlock(&tickets->lock);
  return found;
}

static bool use_key(ticket_key *key, unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int encrypts) {
  OSSL_PARAM parameters[] = {
      OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, key->mac_key, sizeof key->mac_key),
      OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char[]){"SHA256"}, 0),
      OSSL_PARAM_construct_end(),
  };
  return EVP_CipherInit_ex(cipher, EVP_aes_256_cbc(), NULL, key->cipher_key, iv, encrypts) == 1 &&
         EVP_MAC_CTX_set_params(mac, parameters) == 1;
}

// SSL_CTX_set_tlsext_ticket_key_evp_cb(3). With 2 the client gets a new ticket, under the current key.
static int protect(
    SSL *session, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int encrypts) {
  roost_tls_tickets *tickets = SSL_CTX_get_app_data(SSL_get_SSL_CTX(session));
  ticket_key key;
  int found = find_key(tickets, encrypts ? NULL : name, &key);
  if (found <= 0) return found;
  if (encrypts) {
    memcpy(name, key.name, NAME_SIZE);
    if (RAND_bytes(iv, EVP_CIPHER_get_iv_length(EVP_aes_256_cbc())) != 1) found = -1;
  }
  if (found > 0 && !use_key(&key, iv, cipher, mac, encrypts)) found = -1;
  OPENSSL_cleanse(&key, sizeof key);
  return found;
}

static int64_t locked_now(roost_tls_tickets *tickets) {
  pthread_mutex_lock(&tickets->lock);
  int64_t time = now(tickets);
  pthread_mutex_unlock(&tickets->lock);
  return time;
}

// Each ticket says when the full handshake was that it goes back to: in TLS 1.3 every resumption brings a new ticket,
// and a client certificate is looked at in full handshakes only.
static int note_origin(SSL *session, void *argument) {
  SSL_SESSION *resumable = SSL_get_session(session);
  void *data;
  size_t size;
  if (SSL_SESSION_get0_ticket_appdata(resumable, &data, &size) == 1 && size != 0) return 1;
  int64_t origin = locked_now(argument);
  return SSL_SESSION_set1_ticket_appdata(resumable, &origin, sizeof origin);
}

static SSL_TICKET_RETURN judge_origin(
    SSL *session, SSL_SESSION *resumable, const unsigned char *name, size_t name_size, SSL_TICKET_STATUS status,
    void *argument) {
  (void)name, (void)name_size;
  if (status != SSL_TICKET_SUCCESS && status != SSL_TICKET_SUCCESS_RENEW) return SSL_TICKET_RETURN_IGNORE_RENEW;
  roost_tls_tickets *tickets = argument;
  void *data;
  size_t size;
  int64_t origin;
  if (SSL_SESSION_get0_ticket_appdata(resumable, &data, &size) != 1 || size != sizeof origin)
    return SSL_TICKET_RETURN_IGNORE_RENEW;
  memcpy(&origin, data, sizeof origin);
  if (locked_now(tickets) - origin >= tickets->seconds_max) return SSL_TICKET_RETURN_IGNORE_RENEW;
  // A client uses a ticket of TLS 1.3 once (RFC 8446 §C.4): without another its next handshake is a full one.
  if (SSL_version(session) == TLS1_3_VERSION) return SSL_TICKET_RETURN_USE_RENEW;
  return status == SSL_TICKET_SUCCESS ? SSL_TICKET_RETURN_USE : SSL_TICKET_RETURN_USE_RENEW;
}

void roost_tls_use_tickets(struct ssl_ctx_st *context, roost_tls_tickets *tickets) {
  SSL_CTX_set_app_data(context, tickets);
  SSL_CTX_set_timeout(context, (long)tickets->seconds_max);
  SSL_CTX_set_num_tickets(context, 1);  // one WebSocket at once: browsers do not race for tickets
  SSL_CTX_set_tlsext_ticket_key_evp_cb(context, protect);
  SSL_CTX_set_session_ticket_cb(context, note_origin, judge_origin, tickets);
}
