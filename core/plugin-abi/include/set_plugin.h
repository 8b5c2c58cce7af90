/* The C ABI between set-sidecar and its plugins, version 1.0.
 *
 * A plugin is a shared library that exports `set_plugin_v1`. What crosses the boundary is JSON in UTF-8;
 * methods, requests and answers are those of the crates set-plugin-abi and set-types.
 *
 * - The host calls create, call, cancel and destroy of one instance from one thread, never two at once.
 * - call returns at once; its completion is used exactly once, from any thread, also before call returns.
 * - A slice is borrowed and valid until the function that received it returns.
 * - A buffer is owned by its receiver, who frees it with its own `free`, from any thread.
 * - Nothing unwinds across the boundary.
 * - Tables begin with their size and only grow at the end within a major version.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#ifndef SET_PLUGIN_H
#define SET_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SET_PLUGIN_MAJOR 1u
#define SET_PLUGIN_MINOR 0u
/* Version of the JSON messages. */
#define SET_PLUGIN_PROTOCOL 1u
/* The longest JSON text that either side accepts, in bytes. */
#define SET_PLUGIN_MAX_PAYLOAD ((size_t)64 << 20)

/* How a call ended, and what its payload is then. */
#define SET_OK 0u             /* the answer */
#define SET_REFUSED 1u        /* {"message": "...", "retryable": true} */
#define SET_PANICKED 2u       /* text; the host replaces the instance */
#define SET_UNKNOWN_METHOD 3u /* empty */
#define SET_INVALID 4u        /* text: why the request cannot be read */
#define SET_CANCELLED 5u      /* empty */

#define SET_LOG_ERROR 1u
#define SET_LOG_WARN 2u
#define SET_LOG_INFO 3u
#define SET_LOG_DEBUG 4u
#define SET_LOG_TRACE 5u

#define SET_METRIC_COUNTER 1u
#define SET_METRIC_GAUGE 2u
#define SET_METRIC_HISTOGRAM 3u

/* Borrowed bytes; ptr may be NULL where len is 0. */
typedef struct SetSlice {
  const uint8_t *ptr;
  size_t len;
} SetSlice;

/* Owned bytes. free is NULL where there is nothing to free; owner is its maker's own business. */
typedef struct SetBuffer {
  uint8_t *ptr;
  size_t len;
  void *owner;
  void (*free)(void *owner, uint8_t *ptr, size_t len);
} SetBuffer;

/* Where the outcome of one call goes. */
typedef struct SetCompletion {
  void (*complete)(void *ctx, uint64_t call, uint32_t status, SetBuffer payload);
  void *ctx;
  uint64_t call;
} SetCompletion;

/* What the host gives an instance; valid for ever. All functions can be called from any thread. */
typedef struct SetHostV1 {
  size_t size;
  uint32_t major;
  uint32_t minor;
  void *ctx;
  /* The finest level that the host records; 0 for none. */
  uint32_t (*log_level)(void *ctx);
  /* Records a line; fields is a JSON object, or empty. Never blocks. */
  void (*log)(void *ctx, uint32_t level, SetSlice target, SetSlice message, SetSlice fields);
  /* Records a metric; its name is of [a-z0-9_]. Never blocks. */
  void (*metric)(void *ctx, uint32_t kind, SetSlice name, double value);
  /* Asks the host: chain_call, kv_get, kv_put. Returns at once. */
  void (*call)(void *ctx, SetSlice method, SetSlice payload, SetCompletion done);
} SetHostV1;

/* What a plugin gives the host; constant, never freed. Only cancel may be NULL. */
typedef struct SetPluginV1 {
  size_t size;
  uint32_t major;
  uint32_t minor;
  /* Writes the descriptor to out. Needs no instance. */
  uint32_t (*describe)(SetBuffer *out);
  /* Makes an instance; with another status than SET_OK, error holds why. */
  uint32_t (*create)(const SetHostV1 *host, SetSlice config, void **instance, SetBuffer *error);
  /* Begins a call. */
  void (*call)(void *instance, SetSlice method, SetSlice payload, SetCompletion done);
  /* Asks to complete a call soon, with any outcome; it may be over already. */
  void (*cancel)(void *instance, uint64_t call);
  /* Ends an instance: afterwards no call of it completes and none of its threads runs. */
  void (*destroy)(void *instance);
} SetPluginV1;

/* The one symbol that a plugin exports. */
const SetPluginV1 *set_plugin_v1(void);

#ifdef __cplusplus
}
#endif

#endif /* SET_PLUGIN_H */
