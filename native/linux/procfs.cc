#include "linux/procfs.h"

#include <fcntl.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "linux/status.h"

namespace pidproof {

namespace {

constexpr unsigned long kProcMagic = 0x9fa0;
constexpr size_t kFirstRead = 16384;  // on the stack: growing a string to be read into would zero-fill it

// The fixed part of struct linux_dirent64.
struct DirentHeader {
  uint64_t inode;
  int64_t offset;
  uint16_t length;
  uint8_t type;
};
constexpr size_t kDirentName = 19;

int open_for_read(int dirfd, const char* path, ScopedFd* fd) {
  fd->reset(openat(dirfd, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  return *fd ? 0 : errno;
}

// Bytes or -1.
ssize_t read_some(int fd, char* buffer, size_t size) {
  ssize_t got = 0;
  do {
    got = read(fd, buffer, size);
  } while (got < 0 && errno == EINTR);
  return got;
}

int scan_numbers(int fd, std::vector<int32_t>* numbers) {
  alignas(8) char buffer[32768];
  for (;;) {
    const long got = syscall(SYS_getdents64, fd, buffer, sizeof buffer);
    if (got < 0) return errno;
    if (got == 0) return 0;
    for (long at = 0; at < got;) {
      DirentHeader header;
      memcpy(&header, buffer + at, sizeof header);
      const char* name = buffer + at + kDirentName;
      if (name[0] >= '0' && name[0] <= '9') numbers->push_back(static_cast<int32_t>(strtol(name, nullptr, 10)));
      at += header.length;
    }
  }
}

// Reads unsigned decimals separated by blanks; negative values wrap as strtoull makes them.
class NumberReader {
 public:
  explicit NumberReader(std::string_view text) : at_(text.data()), end_(text.data() + text.size()) {}

  template <typename Integer>
  bool next(Integer* value) {
    while (at_ < end_ && *at_ == ' ') ++at_;
    const bool negative = at_ < end_ && *at_ == '-';
    if (negative) ++at_;
    if (at_ == end_ || *at_ < '0' || *at_ > '9') return false;
    uint64_t number = 0;
    for (; at_ < end_ && *at_ >= '0' && *at_ <= '9'; ++at_) number = number * 10 + static_cast<uint64_t>(*at_ - '0');
    *value = static_cast<Integer>(negative ? 0 - number : number);
    return true;
  }

  // Passes over `count` numbers and the blanks behind them. False when the text ends before.
  bool skip(int count) {
    while (at_ < end_ && *at_ == ' ') ++at_;
    for (; count > 0 && at_ < end_; ++at_) count -= *at_ == ' ' ? 1 : 0;
    return count == 0;
  }

 private:
  const char* at_;
  const char* end_;
};

std::string_view line_after(std::string_view text, std::string_view label) {
  size_t at = text.rfind(label, 0) == 0 ? 0 : std::string_view::npos;
  if (at == std::string_view::npos) {
    // The Name line escapes newlines, so a label at a line start is the kernel's own.
    const std::string needle = "\n" + std::string(label);
    at = text.find(needle);
    if (at == std::string_view::npos) return {};
    ++at;
  }
  at += label.size();
  return text.substr(at, text.find('\n', at) - at);
}

// Numbers of a status line, which separates them with tabs.
size_t status_numbers(std::string_view line, uint32_t* values, size_t most) {
  size_t count = 0;
  const char* at = line.data();
  const char* end = at + line.size();
  while (at < end) {
    while (at < end && (*at < '0' || *at > '9')) ++at;
    if (at == end) break;
    uint32_t number = 0;
    for (; at < end && *at >= '0' && *at <= '9'; ++at) number = number * 10 + static_cast<uint32_t>(*at - '0');
    if (count < most) values[count] = number;
    ++count;
  }
  return count;
}

}  // namespace

Status open_proc(ScopedFd* proc) {
  proc->reset(open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!*proc) {
    if (is_own_failure(errno)) return os_status("open /proc", errno);
    return {"ENOTSUP", "open /proc", errno};
  }
  struct statfs filesystem;
  if (fstatfs(proc->get(), &filesystem) != 0 || static_cast<unsigned long>(filesystem.f_type) != kProcMagic) {
    return {"ENOTSUP", "statfs /proc", 0};
  }
  char self[32];
  const ssize_t length = readlinkat(proc->get(), "self", self, sizeof self - 1);
  if (length <= 0) return {"ENOTSUP", "readlink /proc/self", errno};
  self[length] = '\0';
  if (strtol(self, nullptr, 10) != getpid()) return {"ENOTSUP", "readlink /proc/self", 0};
  return {};
}

Status list_pids(int proc, std::vector<int32_t>* pids) {
  pids->clear();
  if (lseek(proc, 0, SEEK_SET) < 0) return os_status("lseek /proc", errno);
  return os_status("getdents64 /proc", scan_numbers(proc, pids));
}

int list_numbers(int dirfd, const char* path, std::vector<int32_t>* numbers) {
  numbers->clear();
  ScopedFd directory(openat(dirfd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  return directory ? scan_numbers(directory.get(), numbers) : errno;
}

namespace {

int64_t read_time_namespace_ticks() {
  std::string text;
  if (read_whole(AT_FDCWD, "/proc/self/timens_offsets", &text) != 0) return 0;
  const std::string_view line = line_after(text, "boottime");
  NumberReader numbers(line);
  int64_t seconds = 0;
  int64_t nanoseconds = 0;
  if (!numbers.next(&seconds) || !numbers.next(&nanoseconds)) return 0;
  const int64_t per_second = sysconf(_SC_CLK_TCK);
  return seconds * per_second + nanoseconds / (1000000000 / per_second);
}

}  // namespace

int64_t time_namespace_ticks() {
  // A process cannot change its own time namespace once it runs threads, and Node always does.
  static const int64_t ticks = read_time_namespace_ticks();
  return ticks;
}

void proc_path(char* path, int32_t pid, const char* file) {
  char digits[12];
  char* at = digits + sizeof digits;
  auto number = static_cast<uint32_t>(pid);
  do {
    *--at = static_cast<char>('0' + number % 10);
    number /= 10;
  } while (number != 0);
  const auto length = static_cast<size_t>(digits + sizeof digits - at);
  memcpy(path, at, length);
  path[length] = '/';
  memcpy(path + length + 1, file, strlen(file) + 1);
}

int read_once(int dirfd, const char* path, std::string* text) {
  ScopedFd fd;
  const int error = open_for_read(dirfd, path, &fd);
  if (error != 0) return error;
  char first[kFirstRead];
  const ssize_t got = read_some(fd.get(), first, sizeof first);
  if (got < 0) return errno;
  text->assign(first, static_cast<size_t>(got));
  return 0;
}

namespace {

enum class ShortRead : uint8_t { kGoesOn, kIsLast };

int read_file(int dirfd, const char* path, ShortRead short_read, std::string* text) {
  ScopedFd fd;
  const int error = open_for_read(dirfd, path, &fd);
  if (error != 0) return error;
  char first[kFirstRead];
  ssize_t got = read_some(fd.get(), first, sizeof first);
  if (got < 0) return errno;
  size_t used = static_cast<size_t>(got);
  text->assign(first, used);
  for (size_t offered = sizeof first; got > 0;) {
    if (short_read == ShortRead::kIsLast && static_cast<size_t>(got) < offered) break;
    text->resize(std::max(used, sizeof first) * 4);
    offered = text->size() - used;
    got = read_some(fd.get(), text->data() + used, offered);
    if (got < 0) return errno;
    used += static_cast<size_t>(got);
  }
  text->resize(used);
  return 0;
}

}  // namespace

int read_whole(int dirfd, const char* path, std::string* text) {
  return read_file(dirfd, path, ShortRead::kGoesOn, text);
}

int read_memory_file(int dirfd, const char* path, std::string* text) {
  return read_file(dirfd, path, ShortRead::kIsLast, text);
}

int read_link(int dirfd, const char* path, std::string* target) {
  char buffer[PATH_MAX + 1];
  const ssize_t length = readlinkat(dirfd, path, buffer, sizeof buffer);
  if (length < 0) return errno;
  target->assign(buffer, static_cast<size_t>(length));
  return 0;
}

bool parse_stat(std::string_view text, Stat* stat) {
  const size_t open = text.find(" (");
  // The name may hold anything but NUL; behind it there are only numbers and a letter.
  const auto* last = static_cast<const char*>(memrchr(text.data(), ')', text.size()));
  if (open == std::string_view::npos || last == nullptr) return false;
  const auto close = static_cast<size_t>(last - text.data());
  if (close < open + 2) return false;
  if (!NumberReader(text.substr(0, open)).next(&stat->pid)) return false;
  stat->comm = text.substr(open + 2, close - open - 2);
  if (text.size() < close + 4) return false;
  stat->state = text[close + 2];
  NumberReader numbers(text.substr(close + 3));
  const bool complete = numbers.next(&stat->ppid) && numbers.next(&stat->pgid) && numbers.next(&stat->sid) &&
                        numbers.skip(2) && numbers.next(&stat->flags) && numbers.skip(4) &&
                        numbers.next(&stat->utime) && numbers.next(&stat->stime) && numbers.skip(4) &&
                        numbers.next(&stat->threads) && numbers.skip(1) && numbers.next(&stat->start_ticks);
  if (!complete) return false;
  // qemu-user ends the line earlier; what is missing stays 0, as for a reader without permission.
  if (!numbers.next(&stat->vsize) || !numbers.next(&stat->rss_pages) || !numbers.skip(1)) return true;
  if (!numbers.next(&stat->start_code) || !numbers.skip(21)) return true;
  if (!numbers.next(&stat->arg_start) || !numbers.skip(1)) return true;
  if (!numbers.next(&stat->env_start) || !numbers.skip(1)) return true;
  numbers.next(&stat->exit_code);
  return true;
}

bool parse_status(std::string_view text, StatusIds* ids) {
  uint32_t values[4] = {};
  if (status_numbers(line_after(text, "Uid:"), values, 4) != 4) return false;
  ids->ruid = values[0];
  ids->euid = values[1];
  uint32_t first = 0;
  ids->nested = status_numbers(line_after(text, "NSpid:"), &first, 1) > 1;
  if (status_numbers(line_after(text, "Tgid:"), &first, 1) == 1) ids->tgid = static_cast<int32_t>(first);
  return true;
}

uint64_t socket_inode(std::string_view link) {
  constexpr std::string_view kPrefix = "socket:[";
  if (link.substr(0, kPrefix.size()) != kPrefix || link.back() != ']') return 0;
  uint64_t inode = 0;
  for (const char digit : link.substr(kPrefix.size(), link.size() - kPrefix.size() - 1)) {
    if (digit < '0' || digit > '9') return 0;
    inode = inode * 10 + static_cast<uint64_t>(digit - '0');
  }
  return inode;
}

}  // namespace pidproof
