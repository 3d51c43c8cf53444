/* Runs a bundle of vtacsp on VTA's driver, and says whether the numbers are right.
 *
 *   cc -O2 -o runner runner.c -L. -lvta -ltvm_runtime && ./runner FOLDER
 *
 * TVM's runtime is what a driver that TVM has built needs; another one may need nothing.
 * Give -DVTA64 when the driver was compiled with 64-bit addresses (USE_VTA64), and -DTVM for the
 * cycles that a simulator counts (TVM up to 0.19): libvta_tsim needs the library of the RTL too,
 *
 *   cc -O2 -DTVM -o runner runner.c -L. -lvta_tsim -ltvm_runtime && ./runner FOLDER libvta_hw.so
 *
 * Exit codes: 0 right, 2 it could not be run (one line says why), 3 wrong numbers.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#ifdef VTA64
typedef uint64_t phy_t;
#else
typedef uint32_t phy_t;
#endif

/* The driver, as VTA declares it in vta/driver.h. */
void *VTADeviceAlloc(void);
void VTADeviceFree(void *device);
int VTADeviceRun(void *device, phy_t instructions, uint32_t count, uint32_t wait);
void *VTAMemAlloc(size_t size, int cached);
void VTAMemFree(void *buffer);
phy_t VTAMemGetPhyAddr(void *buffer);
void VTAMemCopyFromHost(void *to, const void *from, size_t size);
void VTAMemCopyToHost(void *to, const void *from, size_t size);
void VTAFlushCache(void *buffer, phy_t address, int size);
void VTAInvalidateCache(void *buffer, phy_t address, int size);

enum { UOP, WGT, INP, ACC, OUT, INSTRUCTIONS, FILES }; /* the first five: memory types of VTA */
enum { MOST_LAUNCHES = 4096, PAGE = 4096 };
static const char *NAMES[FILES] = {"uop", "wgt", "inp", "acc", "out", "instructions"};
static const uint32_t WAIT = 1u << 31; /* polls until the driver gives up; as TVM's runtime */

struct file {
  unsigned long size, address, element;
  unsigned char *data; /* what the file holds */
  void *buffer;        /* where it lies in the accelerator's memory */
  phy_t phy;
};

#ifdef TVM /* tvm/runtime/c_runtime_api.h */
union value {
  int64_t integer;
  void *handle;
  const char *text;
};
int TVMFuncGetGlobal(const char *name, void **function);
int TVMFuncCall(void *function, union value *values, int *codes, int count, union value *result,
                int *code);
int TVMModLoadFromFile(const char *file, const char *format, void **module);
const char *TVMGetLastError(void);
enum { MODULE = 9, STRING = 11 };
#endif

static struct file files[FILES];
static unsigned long first[MOST_LAUNCHES], count[MOST_LAUNCHES];
static int launches;

static void fail(const char *what, const char *name) {
  fflush(stdout);
  fprintf(stderr, "error: %s: %s\n", name, what);
  _Exit(2); /* not exit: the thread of libvta_tsim uses what its destructors destroy */
}

static uint32_t crc32(const unsigned char *data, unsigned long size) {
  uint32_t crc = ~0u;
  for (unsigned long i = 0; i < size; ++i) {
    crc ^= data[i];
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ (0xEDB88320u & -(crc & 1));
  }
  return ~crc;
}

static unsigned char *read_file(const char *folder, const char *name, unsigned long size) {
  char path[4096];
  if (strchr(name, '/') != NULL) fail("a file of a bundle has no folder", name);
  if (snprintf(path, sizeof path, "%s/%s", folder, name) >= (int)sizeof path) fail("too long", name);
  FILE *stream = fopen(path, "rb");
  if (stream == NULL) fail("cannot be opened", path);
  unsigned char *data = malloc(size + 1);
  if (data == NULL) fail("not enough memory", path);
  if (fread(data, 1, size + 1, stream) != size) fail("is not as long as buffers.txt says", path);
  fclose(stream);
  return data;
}

/* buffers.txt: "bundle VERSION MACHINE CYCLES", then a line per file and launch. */
static unsigned long read_map(const char *folder) {
  char path[4096], line[512], kind[32], name[128];
  unsigned long cycles = 0, size, address, element;
  unsigned version, crc;
  snprintf(path, sizeof path, "%s/buffers.txt", folder);
  FILE *stream = fopen(path, "r");
  if (stream == NULL) fail("cannot be opened", path);
  if (fgets(line, sizeof line, stream) == NULL ||
      sscanf(line, "bundle %u %127s %lu", &version, name, &cycles) != 3 || version != 1)
    fail("is no map of a bundle", path);
  printf("machine %s\n", name);
  while (fgets(line, sizeof line, stream) != NULL) {
    if (sscanf(line, "launch %lu %lu", &address, &size) == 2) {
      if (launches == MOST_LAUNCHES) fail("has too many launches", path);
      first[launches] = address;
      count[launches++] = size;
      continue;
    }
    if (sscanf(line, "%31s %127s %lu %lu %lu %x", kind, name, &size, &address, &element, &crc) != 6)
      fail("has a line that is none of a map", path);
    int file = 0;
    while (file < FILES && strcmp(NAMES[file], kind) != 0) ++file;
    if (file == FILES || size == 0 || element == 0) fail("has a line that is none of a map", path);
    struct file *f = &files[file];
    f->size = size, f->address = address, f->element = element;
    f->data = read_file(folder, name, size);
    if (crc32(f->data, size) != crc) fail("is not the file that was written", name);
  }
  fclose(stream);
  /* what the ALU runs by itself is all loaded into the accumulators, else they may stay empty */
  int multiplies = files[INP].data != NULL || files[WGT].data != NULL;
  for (int file = 0; file < FILES; ++file) {
    int needed = file == ACC ? !multiplies : (file != INP && file != WGT) || multiplies;
    if (needed && files[file].data == NULL) fail("lacks a file", path);
  }
  unsigned long end = 0;
  for (int i = 0; i < launches; ++i) {
    if (first[i] != end) fail("has launches with a gap", path);
    end += count[i];
  }
  if (launches == 0 || end * 16 != files[INSTRUCTIONS].size) fail("has other instructions", path);
  return cycles;
}

static void allocate(struct file *f, const char *name) {
  f->buffer = VTAMemAlloc(f->size, 0);
  if (f->buffer == NULL) fail("the driver has no memory left", name);
  f->phy = VTAMemGetPhyAddr(f->buffer);
  if (f->phy % f->element) fail("the driver's memory is not aligned", name);
}

/* A load or store of buffer b moves by as many elements as b was moved. */
static void relocate(void) {
  uint64_t *words = (uint64_t *)files[INSTRUCTIONS].data;
  for (unsigned long i = 0; i < files[INSTRUCTIONS].size / 16; ++i, words += 2) {
    unsigned opcode = words[0] & 7, memory = words[0] >> 7 & 7, x_size = words[1] >> 16 & 0xFFFF;
    if (opcode > 1 || x_size == 0) continue; /* neither load nor store, or it moves nothing */
    if (memory > OUT || files[memory].buffer == NULL) fail("moves what is no buffer", "instruction");
    const struct file *f = &files[memory];
    uint64_t at = words[0] >> 26 & 0xFFFFFFFF;
    at += f->phy / f->element - f->address / f->element;
    words[0] = (words[0] & ~(0xFFFFFFFFull << 26)) | (at & 0xFFFFFFFF) << 26;
  }
}

static void upload(struct file *f, const void *data) {
  VTAMemCopyFromHost(f->buffer, data, f->size);
  VTAFlushCache(f->buffer, f->phy, (int)f->size);
}

#ifdef TVM
static void *packed(const char *simulator, const char *name) {
  char full[64];
  void *function = NULL;
  snprintf(full, sizeof full, "vta.%s.%s", simulator, name);
  return TVMFuncGetGlobal(full, &function) == 0 ? function : NULL;
}

/* Calls a function with a module or nothing; the text that it returns. */
static const char *call(void *function, void *module) {
  union value result = {.integer = 0}, argument = {.handle = module};
  int code = 0, codes[1] = {MODULE};
  if (TVMFuncCall(function, &argument, codes, module != NULL, &result, &code) != 0)
    fail(TVMGetLastError(), "a packed function");
  return code == STRING ? result.text : "";
}

static void start_counting(const char *hardware) {
  void *init = packed("tsim", "init"), *module = NULL, *clear;
  if (hardware == NULL && init != NULL) fail("libvta_tsim simulates it, name it", "libvta_hw.so");
  if (hardware != NULL) {
    char *path = realpath(hardware, NULL); /* a name would be looked for in the system's folders */
    if (init == NULL) fail("no library here has vta.tsim.init of libvta_tsim", hardware);
    if (TVMModLoadFromFile(path == NULL ? hardware : path, "vta-tsim", &module) != 0)
      fail("cannot be loaded as the hardware of libvta_tsim", hardware);
    free(path);
    call(init, module);
  }
  if ((clear = packed("tsim", "profiler_clear")) != NULL) call(clear, NULL);
}

/* Cycles that the device has counted, -1 when it counts none. */
static long counted(void) {
  void *status = packed("tsim", "profiler_status");
  const char *text = status == NULL ? NULL : strstr(call(status, NULL), "\"cycle_count\":");
  return text == NULL ? -1 : strtol(strchr(text, ':') + 1, NULL, 10);
}
#else
static void start_counting(const char *hardware) {
  if (hardware != NULL) fail("needs a runner that was compiled with -DTVM", hardware);
}
static long counted(void) { return -1; }
#endif

int main(int argc, char **argv) {
  if (argc != 2 && argc != 3) fail("usage: runner FOLDER [LIBRARY OF THE RTL]", "arguments");
  unsigned long cycles = read_map(argv[1]), wrong = 0, at = 0;
  struct file *out = &files[OUT], *stream = &files[INSTRUCTIONS];
  stream->element = 16;
  for (int file = 0; file < FILES; ++file)
    if (files[file].data != NULL) allocate(&files[file], NAMES[file]);
  relocate();
  for (int file = 0; file < FILES; ++file)
    if (files[file].data != NULL && file != OUT) upload(&files[file], files[file].data);
  unsigned char *found = malloc(out->size); /* first what it must not be, then what it is */
  if (found == NULL) fail("not enough memory", "out");
  for (unsigned long i = 0; i < out->size; ++i) found[i] = out->data[i] ^ 0xFF;
  upload(out, found);

  start_counting(argc == 3 ? argv[2] : NULL);
  void *device = VTADeviceAlloc();
  if (device == NULL) fail("the driver has no device", "VTADeviceAlloc");
  struct timespec begin, end;
  clock_gettime(CLOCK_MONOTONIC, &begin);
  for (int i = 0; i < launches; ++i)
    if (VTADeviceRun(device, stream->phy + (phy_t)(first[i] * 16), (uint32_t)count[i], WAIT) != 0)
      fail("the device did not finish", "VTADeviceRun");
  clock_gettime(CLOCK_MONOTONIC, &end);
  long device_cycles = counted();

  VTAInvalidateCache(out->buffer, out->phy, (int)out->size);
  VTAMemCopyToHost(found, out->buffer, out->size);
  for (unsigned long i = out->size; i-- > 0;)
    if (found[i] != out->data[i]) ++wrong, at = i;
  double seconds = (double)(end.tv_sec - begin.tv_sec) + 1e-9 * (double)(end.tv_nsec - begin.tv_nsec);
  printf("seconds %.6f, of the host's clock\n", seconds);
  if (device_cycles >= 0) printf("cycles %ld, that the device counted\n", device_cycles);
  printf("cycles %lu, of vtacsp's simulator%s\n", cycles,
         device_cycles < 0 ? "; the driver has no counter" : "");
  if (wrong)
    printf("wrong: %lu of %lu bytes differ, the first is byte %lu\n", wrong, out->size, at);
  else
    printf("right: all %lu bytes\n", out->size);
  VTADeviceFree(device);
  for (int file = 0; file < FILES; ++file)
    if (files[file].buffer != NULL) VTAMemFree(files[file].buffer);
  fflush(NULL);
  _Exit(wrong ? 3 : 0); /* as in fail */
}
