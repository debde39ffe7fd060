/*
 * batch-topk and decode in plain C, speaking the protocol by itself: all their laws hold.
 *
 *     cc -O2 -std=c11 -o c_kernels c_kernels.c -lm
 *     matryoshka conformance --kernel ./c_kernels
 *
 * A message is 8 bytes that begin a frame, its length (8 bytes, little-endian), and a safetensors file: the length of a
 * JSON header, the header, and the tensors' bytes. Assumes a little-endian machine.
 */

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifdef _WIN32
#include <fcntl.h>
#include <io.h>
#endif

static const char FRAME_START[8] = {(char)0x93, 'S', 'A', 'E', 'k', '1', '\r', '\n'};

static void die(const char *why) {
  fprintf(stderr, "c_kernels: %s\n", why);
  exit(1);
}

static void *allocate(size_t bytes) {
  void *memory = malloc(bytes ? bytes : 1);
  if (!memory) die("out of memory");
  return memory;
}

/* ---- JSON: just enough to find a value in a valid text ---- */

static const char *skip_space(const char *at) {
  while (*at == ' ' || *at == '\n' || *at == '\r' || *at == '\t') at++;
  return at;
}

static const char *skip_string(const char *at) {
  for (at++; *at && *at != '"'; at++)
    if (*at == '\\' && at[1]) at++;
  return *at ? at + 1 : at;
}

static const char *skip_value(const char *at) {
  int depth = 0;
  do {
    at = skip_space(at);
    if (!*at) return at;
    if (*at == '"') {
      at = skip_string(at);
    } else if (*at == '{' || *at == '[') {
      depth++, at++;
    } else if (*at == '}' || *at == ']') {
      depth--, at++;
    } else if (*at == ',' || *at == ':') {
      at++;
    } else {
      while (*at && !strchr(",:]} \n\r\t", *at)) at++;
    }
  } while (depth > 0);
  return at;
}

/* The value of a key of the object that begins at `at`, or NULL. Keys asked for have no escapes. */
static const char *value_of(const char *at, const char *key) {
  size_t length = strlen(key);
  at = skip_space(at);
  if (*at != '{') return NULL;
  at = skip_space(at + 1);
  while (*at == '"') {
    const char *name = at + 1;
    at = skip_space(skip_string(at));
    if (*at != ':') return NULL;
    at = skip_space(at + 1);
    if (!strncmp(name, key, length) && name[length] == '"') return at;
    at = skip_space(skip_value(at));
    if (*at == ',') at = skip_space(at + 1);
  }
  return NULL;
}

/* A string without its quotes and escapes; \u does not occur in what is read here. */
static char *text_of(const char *at) {
  if (!at || *at != '"') return NULL;
  char *text = allocate((size_t)(skip_string(at) - at)), *to = text;
  for (at++; *at && *at != '"'; at++) {
    if (*at == '\\') at++;
    *to++ = *at;
  }
  *to = 0;
  return text;
}

/* The numbers of an array; returns how many there are, at most `most`. */
static int numbers_of(const char *at, double *numbers, int most) {
  int count = 0;
  at = skip_space(at + 1);
  while (*at && *at != ']' && count < most) {
    char *end;
    numbers[count++] = strtod(at, &end);
    at = skip_space(end);
    if (*at == ',') at = skip_space(at + 1);
  }
  return count;
}

/* ---- Messages ---- */

struct request {
  char *header;
  const char *data;
  char *buffer;
  char *name, *id, *config, *outputs;
};

struct tensor {
  const float *values;
  size_t size;
  /* Length of the last dimension, and how often it occurs. */
  size_t width, rows;
};

static int read_exactly(void *to, size_t bytes) { return fread(to, 1, bytes, stdin) == bytes; }

/* 0 when the suite has hung up. */
static int receive(struct request *request) {
  char start[8];
  uint64_t length, header_length;
  if (!read_exactly(start, 8)) return 0;
  if (memcmp(start, FRAME_START, 8)) die("expected a frame");
  if (!read_exactly(&length, 8)) return 0;
  request->buffer = allocate(length);
  if (!read_exactly(request->buffer, length)) return 0;
  memcpy(&header_length, request->buffer, 8);
  request->header = allocate(header_length + 1);
  memcpy(request->header, request->buffer + 8, header_length);
  request->header[header_length] = 0;
  request->data = request->buffer + 8 + header_length;
  const char *metadata = value_of(request->header, "__metadata__");
  if (!metadata) die("expected metadata");
  request->name = text_of(value_of(metadata, "operator"));
  request->id = text_of(value_of(metadata, "id"));
  request->config = text_of(value_of(metadata, "config"));
  request->outputs = text_of(value_of(metadata, "outputs"));
  if (!request->name || !request->id) die("expected an operator and an id");
  return 1;
}

static void release(struct request *request) {
  free(request->buffer);
  free(request->header);
  free(request->name);
  free(request->id);
  free(request->config);
  free(request->outputs);
}

static struct tensor input(const struct request *request, const char *name) {
  double shape[16], offsets[2];
  const char *entry = value_of(request->header, name);
  if (!entry) die("an input is missing");
  int rank = numbers_of(value_of(entry, "shape"), shape, 16);
  numbers_of(value_of(entry, "data_offsets"), offsets, 2);
  struct tensor tensor = {(const float *)(const void *)(request->data + (size_t)offsets[0]), 1, 1, 1};
  for (int i = 0; i < rank; i++) tensor.size *= (size_t)shape[i];
  if (rank > 0) tensor.width = (size_t)shape[rank - 1];
  tensor.rows = tensor.width ? tensor.size / tensor.width : 0;
  return tensor;
}

/* A frame of this header, padded so that values are aligned, and these bytes. */
static void send_message(const char *header, const float *values, size_t size) {
  uint64_t header_length = (strlen(header) + 7) / 8 * 8, bytes = size * sizeof *values;
  uint64_t length = 8 + header_length + bytes;
  fwrite(FRAME_START, 1, 8, stdout);
  fwrite(&length, 8, 1, stdout);
  fwrite(&header_length, 8, 1, stdout);
  fprintf(stdout, "%-*s", (int)header_length, header);
  fwrite(values, 1, bytes, stdout);
  fflush(stdout);
}

static void refuse(const struct request *request, const char *reason) {
  char header[512];
  snprintf(header, sizeof header,
           "{\"__metadata__\":{\"id\":\"%s\",\"status\":\"refused\",\"message\":\"%s\"}}", request->id, reason);
  send_message(header, NULL, 0);
}

/* Answers with one output, whose shape is the one that was asked for. */
static void answer(const struct request *request, const char *name, const float *values, size_t size) {
  const char *shape = value_of(request->outputs, name);
  char header[1024];
  snprintf(header, sizeof header,
           "{\"__metadata__\":{\"id\":\"%s\",\"status\":\"ok\"},"
           "\"%s\":{\"dtype\":\"F32\",\"shape\":%.*s,\"data_offsets\":[0,%zu]}}",
           request->id, name, (int)(skip_value(shape) - shape), shape, size * sizeof *values);
  send_message(header, values, size);
}

/* ---- Kernels ---- */

static int all_finite(struct tensor tensor) {
  for (size_t i = 0; i < tensor.size; i++)
    if (!isfinite(tensor.values[i])) return 0;
  return 1;
}

static const float *compared;

/* Larger values first, then lower indices. */
static int before(const void *a, const void *b) {
  size_t i = *(const size_t *)a, j = *(const size_t *)b;
  if (compared[i] != compared[j]) return compared[i] > compared[j] ? -1 : 1;
  return i < j ? -1 : i > j;
}

static void batch_topk(const struct request *request) {
  struct tensor acts = input(request, "acts");
  const char *k = value_of(request->config, "k");
  double count = k ? floor(strtod(k, NULL) * (double)acts.rows) : -1;
  if (!(count >= 0 && count <= (double)acts.size)) return refuse(request, "k: expected 0 to d_sae");
  if (!all_finite(acts)) return refuse(request, "expected finite values");

  size_t *order = allocate(acts.size * sizeof *order);
  float *latents = allocate(acts.size * sizeof *latents);
  for (size_t i = 0; i < acts.size; i++) order[i] = i, latents[i] = 0;
  compared = acts.values;
  qsort(order, acts.size, sizeof *order, before);
  for (size_t i = 0; i < (size_t)count; i++)
    if (acts.values[order[i]] > 0) latents[order[i]] = acts.values[order[i]];
  answer(request, "latents", latents, acts.size);
  free(order);
  free(latents);
}

enum { MOST_PREFIXES = 4096 };

static void decode(const struct request *request) {
  static double prefixes[MOST_PREFIXES];
  struct tensor latents = input(request, "latents"), W_dec = input(request, "W_dec");
  struct tensor b_dec = input(request, "b_dec");
  const char *given = value_of(request->config, "prefixes");
  size_t levels = given ? (size_t)numbers_of(given, prefixes, MOST_PREFIXES) : 0;
  size_t d_sae = latents.width, d_in = b_dec.size, rows = latents.rows;
  if (levels == 0 || prefixes[levels - 1] != (double)d_sae)
    return refuse(request, "prefixes: expected the last to be d_sae");
  if (!all_finite(latents) || !all_finite(W_dec) || !all_finite(b_dec))
    return refuse(request, "expected finite values");

  float *out = allocate(levels * rows * d_in * sizeof *out);
  for (size_t row = 0; row < rows; row++) {
    const float *from = b_dec.values;
    size_t latent = 0;
    for (size_t g = 0; g < levels; g++) {
      float *level = out + (g * rows + row) * d_in;
      memcpy(level, from, d_in * sizeof *level);
      for (; latent < (size_t)prefixes[g]; latent++) {
        float value = latents.values[row * d_sae + latent];
        if (value == 0) continue;
        for (size_t i = 0; i < d_in; i++) level[i] += value * W_dec.values[latent * d_in + i];
      }
      from = level;
    }
  }
  answer(request, "reconstructions", out, levels * rows * d_in);
  free(out);
}

int main(void) {
  struct request request;
#ifdef _WIN32
  _setmode(_fileno(stdin), _O_BINARY);
  _setmode(_fileno(stdout), _O_BINARY);
#endif
  while (receive(&request)) {
    if (!strcmp(request.name, "hello"))
      send_message("{\"__metadata__\":{\"id\":\"0\",\"protocol\":\"1\",\"name\":\"C example\",\"device\":\"one thread\","
                   "\"processes\":\"2\",\"operators\":\"[\\\"batch-topk\\\",\\\"decode\\\"]\",\"dtypes\":\"[\\\"float32\\\"]\"}}",
                   NULL, 0);
    else if (!strcmp(request.name, "batch-topk"))
      batch_topk(&request);
    else if (!strcmp(request.name, "decode"))
      decode(&request);
    else
      refuse(&request, "no such operator");
    release(&request);
  }
  return 0;
}
