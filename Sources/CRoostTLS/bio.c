// SPDX-License-Identifier: Apache-2.0
//
// A BIO over a non-blocking descriptor. OpenSSL's own uses read(2) and write(2): the latter raises SIGPIPE.
#include <errno.h>
#include <openssl/bio.h>
#include <pthread.h>
#include <sys/socket.h>

#include "croost_tls.h"

static int bio_write(BIO *bio, const char *bytes, int count) {
  roost_tls_socket *s = BIO_get_data(bio);
  BIO_clear_retry_flags(bio);
  for (;;) {
    ssize_t sent = send(s->descriptor, bytes, (size_t)count, MSG_NOSIGNAL);
    if (sent >= 0) return (int)sent;
    if (errno == EINTR) continue;
    if (errno == EAGAIN || errno == ENOBUFS) {
      BIO_set_retry_write(bio);
    } else {
      s->error = errno;
    }
    return -1;
  }
}

static int bio_read(BIO *bio, char *bytes, int count) {
  roost_tls_socket *s = BIO_get_data(bio);
  BIO_clear_retry_flags(bio);
  s->is_empty = false;
  if (s->allowance <= 0) {
    s->is_drained = false;
    BIO_set_retry_read(bio);
    return -1;
  }
  for (;;) {
    ssize_t received = recv(s->descriptor, bytes, (size_t)count, 0);
    s->is_drained = received < count;
    if (received > 0) {
      s->allowance -= received;
      return (int)received;
    }
    if (received == 0) {
      s->has_ended = true;
      return 0;
    }
    if (errno == EINTR) continue;
    if (errno == EAGAIN) {
      s->is_empty = true;
      BIO_set_retry_read(bio);
    } else {
      s->error = errno;
    }
    return -1;
  }
}

// BIO_CTRL_EOF is left at "no": with "yes" OpenSSL 3 takes the end of the stream for a fatal error of its own, and the
// session could not send any more.
static long bio_control(BIO *bio, int command, long number, void *pointer) {
  (void)bio, (void)number, (void)pointer;
  return command == BIO_CTRL_FLUSH || command == BIO_CTRL_DUP;
}

static BIO_METHOD *method;
static pthread_once_t method_once = PTHREAD_ONCE_INIT;

static void make_method(void) {
  BIO_METHOD *made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "roost socket");
  if (made == NULL) return;
  BIO_meth_set_write(made, bio_write);
  BIO_meth_set_read(made, bio_read);
  BIO_meth_set_ctrl(made, bio_control);
  method = made;
}

struct bio_st *roost_tls_bio(roost_tls_socket *socket) {
  pthread_once(&method_once, make_method);
  if (method == NULL) return NULL;
  BIO *bio = BIO_new(method);
  if (bio == NULL) return NULL;
  BIO_set_data(bio, socket);
  BIO_set_init(bio, 1);
  return bio;
}
