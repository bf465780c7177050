// Reading /proc: paths relative to one directory descriptor, whole files, and the parsers, which are
// pure functions over bytes.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "platform.h"
#include "posix/scoped_fd.h"

namespace pidproof {

// ---- /proc itself

// Opens /proc. ENOTSUP unless it is a procfs that shows this process under its own pid: a mounted
// /proc of another pid namespace would make every pid read there wrong for kill().
Status open_proc(ScopedFd* proc);

// All thread-group leaders, ascending. `proc` may be used for several listings.
Status list_pids(int proc, std::vector<int32_t>* pids);

// The numeric names in a directory ("/proc/<pid>/task", "/proc/<pid>/fd"). 0 or errno.
int list_numbers(int dirfd, const char* path, std::vector<int32_t>* numbers);

// The boottime offset of this process's time namespace, in clock ticks, to subtract from start ticks.
int64_t time_namespace_ticks();

// ---- files. All return 0 or errno.

// "<pid>/<file>" into `path`; `path` must hold 64 bytes.
void proc_path(char* path, int32_t pid, const char* file);

// One read: for files that the kernel formats in one piece (stat). The text replaces *text.
int read_once(int dirfd, const char* path, std::string* text);

// Until end of file. Tables made of records (net/tcp, children) end a read after any of them.
int read_whole(int dirfd, const char* path, std::string* text);

// cmdline and environ are copied from memory until the buffer is full: a short read is the last one.
int read_memory_file(int dirfd, const char* path, std::string* text);

int read_link(int dirfd, const char* path, std::string* target);

// ---- parsers

struct Stat {
  int32_t pid = 0;
  std::string_view comm;
  char state = '?';
  int32_t ppid = 0, pgid = 0, sid = 0;
  uint32_t flags = 0;
  uint64_t utime = 0, stime = 0;
  int64_t threads = 0;
  uint64_t start_ticks = 0;
  uint64_t vsize = 0;
  int64_t rss_pages = 0;
  uint64_t start_code = 0;  // 0 exactly when there is no address space
  uint64_t arg_start = 0, env_start = 0;  // 0 when denied: tells two program images apart
  int32_t exit_code = 0;                  // wait status of a zombie, when permitted
  bool kernel_thread() const { return (flags & 0x00200000u) != 0; }
  // A leader that ended by pthread_exit shows Z while its other threads live on.
  bool zombie() const { return (state == 'Z' && threads <= 1) || state == 'X' || state == 'x'; }
  bool leader_exited() const { return state == 'Z' && threads > 1; }
};

// Accepts lines with at least the 22 fields up to the start time (qemu-user shows 44, kernels 52).
bool parse_stat(std::string_view text, Stat* stat);

struct StatusIds {
  uint32_t ruid = 0, euid = 0;
  bool nested = false;  // NSpid lists more than one number: lives in a pid namespace below the reader's
  int32_t tgid = 0;
};
bool parse_status(std::string_view text, StatusIds* ids);

// The value of "socket:[123]", or 0.
uint64_t socket_inode(std::string_view link);

}  // namespace pidproof
