#include "linux/reader.h"

#include <sched.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <ctime>

#include "linux/status.h"
#include "posix/users.h"

namespace pidproof {

namespace {

constexpr std::string_view kDeleted = " (deleted)";
constexpr int kExecRetries = 3;

double clock_ms(clockid_t clock) {
  timespec now;
  clock_gettime(clock, &now);
  return static_cast<double>(now.tv_sec) * 1000 + static_cast<double>(now.tv_nsec) / 1e6;
}

bool ends_with(std::string_view text, std::string_view end) {
  return text.size() >= end.size() && text.substr(text.size() - end.size()) == end;
}

char portable_state(const Stat& stat) {
  if (stat.leader_exited()) return 'S';
  if (strchr("RSDTtZI", stat.state) != nullptr) return stat.state;
  return stat.state == 'X' || stat.state == 'x' ? 'X' : '?';
}

// The command line as ps shows it: arguments separated by blanks, no padding at the end.
std::string command_title(std::string text) {
  while (!text.empty() && (text.back() == '\0' || text.back() == ' ')) text.pop_back();
  std::replace(text.begin(), text.end(), '\0', ' ');
  return text;
}

}  // namespace

ReadContext make_read_context(int proc) {
  ReadContext context;
  context.proc = proc;
  context.ms_per_tick = 1000.0 / static_cast<double>(sysconf(_SC_CLK_TCK));
  context.page_size = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  // Ticks are normalised to the initial time namespace; the boottime clock read here is not.
  const double offset_ms = static_cast<double>(time_namespace_ticks()) * context.ms_per_tick;
  context.boot_wall_ms = clock_ms(CLOCK_REALTIME) - (clock_ms(CLOCK_BOOTTIME) - offset_ms);
  return context;
}

int ProcessReader::note(int error) {
  if (is_own_failure(error) && own_failure_ == 0) own_failure_ = error;
  return error;
}

int ProcessReader::read_stat(int32_t pid, Stat* stat) {
  char path[64];
  proc_path(path, pid, "stat");
  const int error = note(read_once(context_.proc, path, &stat_buffer_));
  if (error != 0) return error;
  if (!parse_stat(stat_buffer_, stat)) return EIO;
  stat->start_ticks -= static_cast<uint64_t>(time_namespace_ticks());
  return 0;
}

// ENOENT and ESRCH mean a process without an address space as well as one that is gone.
Missing ProcessReader::why_missing(int error, const Stat& stat) {
  if (error == EACCES || error == EPERM) return Missing::kDenied;
  if (error == ENOSYS) return Missing::kUnsupported;
  if (stat.kernel_thread() || stat.zombie()) return Missing::kNone;
  return Missing::kGone;
}

int32_t ProcessReader::live_thread(int32_t pid) {
  char path[64];
  proc_path(path, pid, "task");
  std::vector<int32_t> threads;
  if (note(list_numbers(context_.proc, path, &threads)) != 0) return 0;
  std::string text;
  for (const int32_t thread : threads) {
    snprintf(path, sizeof path, "%d/task/%d/stat", pid, thread);
    Stat stat;
    if (thread != pid && read_once(context_.proc, path, &text) == 0 && parse_stat(text, &stat) && stat.state != 'Z' &&
        stat.state != 'X') {
      return thread;
    }
  }
  return 0;
}

// When the first thread has ended, only the others still show the address space.
void ProcessReader::area_path(char* path, const Stat& stat, const char* file) {
  if (stat.leader_exited()) {
    snprintf(path, 64, "%d/task/%d/%s", stat.pid, live_thread(stat.pid), file);
  } else {
    proc_path(path, stat.pid, file);
  }
}

Missing ProcessReader::read_area(const Stat& stat, const char* file, std::string* text) {
  char path[64];
  area_path(path, stat, file);
  for (int attempt = 0;; ++attempt) {
    const int error = note(read_memory_file(context_.proc, path, text));
    if (error != 0) return why_missing(error, stat);
    if (!text->empty()) return Missing::kPresent;
    if (stat.threads == 0) return Missing::kGone;
    if (stat.kernel_thread() || stat.zombie()) return Missing::kNone;
    // In the middle of an exec the new areas are not set up yet; a cleared title stays empty.
    if (attempt == kExecRetries) return Missing::kPresent;
    sched_yield();
  }
}

Missing ProcessReader::read_path(const Stat& stat, const char* file, std::string* text) {
  char path[64];
  area_path(path, stat, file);
  const int error = note(read_link(context_.proc, path, text));
  return error == 0 ? Missing::kPresent : why_missing(error, stat);
}

void ProcessReader::fill_exe(const Stat& stat, ProcessRow* row) {
  missing_of(row, kExe) = stat.kernel_thread() ? Missing::kNone : read_path(stat, "exe", &row->exe);
  if (!ends_with(row->exe, kDeleted)) return;
  // The suffix may be part of a name; only the link count of the file itself tells.
  char path[64];
  area_path(path, stat, "exe");
  struct stat file;
  if (fstatat(context_.proc, path, &file, 0) == 0 && file.st_nlink == 0) {
    row->exe.resize(row->exe.size() - kDeleted.size());
    row->exe_deleted = true;
  }
}

void ProcessReader::fill_command(const Stat& stat, uint32_t fields, ProcessRow* row) {
  const Missing reason = stat.kernel_thread() ? Missing::kNone : read_area(stat, "cmdline", &row->argv);
  missing_of(row, kArgv) = reason;
  missing_of(row, kTitle) = reason;
  if (reason != Missing::kPresent) row->argv.clear();
  if ((fields & kTitle) != 0) row->title = command_title(row->argv);
  if ((fields & kArgv) == 0) row->argv.clear();
}

void ProcessReader::fill_ids(const Stat& stat, uint32_t fields, ProcessRow* row) {
  char path[64];
  proc_path(path, stat.pid, "status");
  const int error = note(read_whole(context_.proc, path, &buffer_));
  StatusIds ids;
  Missing reason = Missing::kPresent;
  if (error != 0) {
    reason = error == EACCES || error == EPERM ? Missing::kDenied : Missing::kGone;
  } else if (!parse_status(buffer_, &ids)) {
    reason = Missing::kUnsupported;
  }
  missing_of(row, kUid) = missing_of(row, kUser) = missing_of(row, kNested) = reason;
  row->uid = ids.ruid;
  row->euid = ids.euid;
  row->nested = ids.nested;
  if ((fields & kUser) == 0 || reason != Missing::kPresent) return;
  row->user = user_name(ids.ruid);
  if (row->user.empty()) missing_of(row, kUser) = Missing::kNone;
}

void ProcessReader::fill(const Stat& stat, uint32_t fields, ProcessRow* row) {
  row->pid = stat.pid;
  row->ppid = stat.ppid;
  row->pgid = stat.pgid;
  row->sid = stat.sid;
  row->start_token = stat.start_ticks;
  row->kernel_thread = stat.kernel_thread();
  row->state = portable_state(stat);
  row->started_at_ms = context_.started_at_ms(stat.start_ticks);
  row->cpu_user_ms = static_cast<double>(stat.utime) * context_.ms_per_tick;
  row->cpu_system_ms = static_cast<double>(stat.stime) * context_.ms_per_tick;
  row->resident_bytes = static_cast<uint64_t>(std::max<int64_t>(stat.rss_pages, 0)) * context_.page_size;
  row->virtual_bytes = stat.vsize;
  if ((fields & kName) != 0) row->name = stat.comm;
  if ((fields & kExe) != 0) fill_exe(stat, row);
  if ((fields & (kArgv | kTitle)) != 0) fill_command(stat, fields, row);
  if ((fields & kEnv) != 0) {
    missing_of(row, kEnv) = stat.kernel_thread() ? Missing::kNone : read_area(stat, "environ", &buffer_);
    if (missing_of(row, kEnv) == Missing::kPresent) row->env = buffer_;
  }
  if ((fields & kCwd) != 0) {
    missing_of(row, kCwd) = stat.kernel_thread() ? Missing::kNone : read_path(stat, "cwd", &row->cwd);
  }
  if ((fields & (kUid | kUser | kNested)) != 0) fill_ids(stat, fields, row);
}

void ProcessReader::fill_parent(bool unique, ProcessRow* row) {
  missing_of(row, kParent) = Missing::kNone;
  if (row->ppid <= 0) return;
  Pin pin;
  if (unique && note(open_any_pin(context_.proc, row->ppid, &pin)) != 0) return;
  Stat parent;
  if (read_stat(row->ppid, &parent) != 0 || parent.start_ticks > row->start_token) return;
  if (unique && !pin_holds_number(pin)) return;
  missing_of(row, kParent) = Missing::kPresent;
  row->parent_start_token = parent.start_ticks;
  row->parent_unique = pin.target.unique;
}

}  // namespace pidproof
