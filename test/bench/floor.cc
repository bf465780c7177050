// The floor under the benchmark: the least that a single thread must do for the same answer. It opens
// the same files of the same processes as the library does, one after the other, and keeps nothing.
//
//   floor list|environ <iterations>   prints "<processes> <nanoseconds>…"
//   floor                             the same for every line "<mode> <iterations>" on standard input
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace {

constexpr int kMaxIterations = 1000;
char text[2 << 20];

struct Parsed {  // kept alive through `sink`, so that the parsing is not optimised away
  char comm[64];
  char state;
  int ppid, pgid, sid;
  unsigned flags;
  uint64_t start;
  size_t arguments;
};
volatile uint64_t sink;

ssize_t slurp(int proc, const char* pid, const char* file) {
  char path[64];
  snprintf(path, sizeof path, "%s/%s", pid, file);
  int fd = openat(proc, path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return -1;
  ssize_t total = 0, got;
  // A read that leaves room in the buffer has reached the end: no second one to be told so.
  do {
    got = read(fd, text + total, sizeof text - 1 - static_cast<size_t>(total));
    if (got > 0) total += got;
  } while (got > 0 && (total & 4095) == 0 && static_cast<size_t>(total) < sizeof text - 1);
  close(fd);
  text[total] = '\0';
  return total;
}

bool parse_stat(Parsed* out) {
  const char* open = strchr(text, '(');
  const char* end = strrchr(text, ')');
  if (open == nullptr || end == nullptr) return false;
  size_t length = static_cast<size_t>(end - open - 1);
  if (length >= sizeof out->comm) length = sizeof out->comm - 1;
  memcpy(out->comm, open + 1, length);
  out->comm[length] = '\0';
  out->state = end[2];
  char* at = const_cast<char*>(end + 3);
  for (int field = 4; field <= 22; field++) {
    uint64_t value = strtoull(at, &at, 10);
    if (field == 4) out->ppid = static_cast<int>(value);
    if (field == 5) out->pgid = static_cast<int>(value);
    if (field == 6) out->sid = static_cast<int>(value);
    if (field == 9) out->flags = static_cast<unsigned>(value);
    if (field == 22) out->start = value;
  }
  return true;
}

bool list_one(int proc, const char* pid, Parsed* row) {
  if (slurp(proc, pid, "stat") <= 0 || !parse_stat(row)) return false;
  ssize_t length = slurp(proc, pid, "cmdline");
  if (length < 0) return false;
  row->arguments = 0;
  for (ssize_t i = 0; i < length; i++) row->arguments += text[i] == '\0';
  sink = sink + row->start + row->arguments;
  return true;
}

bool environ_one(int proc, const char* pid) {
  struct stat info;
  if (fstatat(proc, pid, &info, 0) != 0 || info.st_uid != geteuid()) return false;
  ssize_t length = slurp(proc, pid, "environ");
  if (length < 0) return false;
  sink = sink + static_cast<uint64_t>(length);
  return true;
}

uint64_t now() {
  timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<uint64_t>(time.tv_sec) * 1000000000u + static_cast<uint64_t>(time.tv_nsec);
}

int scan(bool environ) {
  DIR* directory = opendir("/proc");
  if (directory == nullptr) return -1;
  int proc = dirfd(directory), count = 0;
  Parsed row;
  while (dirent* entry = readdir(directory)) {
    if (entry->d_name[0] < '1' || entry->d_name[0] > '9') continue;
    count += environ ? environ_one(proc, entry->d_name) : list_one(proc, entry->d_name, &row);
  }
  closedir(directory);
  return count;
}

bool answer(const char* mode, int iterations) {
  bool environ = strcmp(mode, "environ") == 0;
  if ((!environ && strcmp(mode, "list") != 0) || iterations < 1 || iterations > kMaxIterations) return false;
  static uint64_t elapsed[kMaxIterations];
  int count = 0;
  for (int i = 0; i < iterations; i++) {
    uint64_t begun = now();
    count = scan(environ);
    elapsed[i] = now() - begun;
  }
  printf("%d", count);
  for (int i = 0; i < iterations; i++) printf(" %llu", static_cast<unsigned long long>(elapsed[i]));
  printf("\n");
  fflush(stdout);
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 3) return answer(argv[1], atoi(argv[2])) ? 0 : 2;
  char line[64], mode[32];
  int iterations;
  while (fgets(line, sizeof line, stdin) != nullptr) {
    if (sscanf(line, "%31s %d", mode, &iterations) != 2 || !answer(mode, iterations)) return 2;
  }
  return 0;
}
