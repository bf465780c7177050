#include "linux/pin.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>

#include "linux/status.h"
#include "linux/syscalls.h"

namespace pidproof {

namespace {

// What a number that /proc does not show is: hidepid hides only procfs, kill() still knows.
int absent_or_hidden(int32_t pid) { return kill(pid, 0) == 0 || errno == EPERM ? EACCES : ESRCH; }

int open_proc_dir(int proc, int32_t pid, Pin* pin) {
  char path[64];
  proc_path(path, pid, "");
  pin->fd.reset(openat(proc, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!pin->fd && errno == ENOENT) return absent_or_hidden(pid);
  if (!pin->fd) return errno == EPERM ? EACCES : errno;  // hidepid=1
  pin->kind = PinKind::kProcDir;
  // /proc/<tid> resolves although only thread-group leaders are listed.
  std::string text;
  StatusIds ids;
  const int error = read_whole(pin->fd.get(), "status", &text);
  if (error != 0) return error;
  return parse_status(text, &ids) && ids.tgid != pid ? ENOENT : 0;
}

// The pid that an anonymous pidfd still names: "Pid:\t-1" in its fdinfo once it has been reaped.
bool fdinfo_names_pid(int fd) {
  char path[64];
  snprintf(path, sizeof path, "/proc/thread-self/fdinfo/%d", fd);  // a scanning thread has a table of its own
  std::string text;
  return read_whole(AT_FDCWD, path, &text) == 0 && text.find("\nPid:\t-1\n") == std::string::npos;
}

bool has_exited(const Pin& pin, const Stat* stat) {
  return pin.kind == PinKind::kPidfd ? pidfd_has_exited(pin.fd.get()) : stat != nullptr && stat->zombie();
}

Liveness exited_liveness(const Pin& pin) { return pin_holds_number(pin) ? Liveness::kZombie : Liveness::kGone; }

// Compares a pinned process with the record. Codes of our own shortage only.
Status verify_pinned(int proc, const Target& target, Pin* pin, Liveness* liveness) {
  const bool both_unique = target.unique && pin->target.unique;
  if (both_unique && *target.unique != *pin->target.unique) {
    *liveness = Liveness::kReplaced;
    return {};
  }
  std::string buffer;
  Stat stat;
  const int error = read_pinned_stat(proc, *pin, &buffer, &stat);
  if (is_own_failure(error)) return os_status("read /proc/<pid>/stat", error);
  const bool same_ticks = error == 0 && stat.start_ticks == target.start_token;
  if (!pin_holds_number(*pin)) {
    *liveness = Liveness::kGone;
  } else if (error == 0 && !same_ticks) {
    // An id that is never reused and a start time that differ in their verdict: the record is garbled.
    *liveness = both_unique ? Liveness::kUnknown : Liveness::kReplaced;
  } else if (error != 0 && !both_unique) {
    *liveness = Liveness::kUnknown;
  } else {
    pin->target.start_token = target.start_token;
    *liveness = has_exited(*pin, error == 0 ? &stat : nullptr) ? Liveness::kZombie : Liveness::kRunning;
  }
  return {};
}

// Where no call signals through a pin: verify and kill, with the gap in between that kill() leaves.
Status verify_and_kill(const Pin& pin, int signal, SignalReport* report) {
  report->atomic = false;
  const Status status = verify_process(pin.target, &report->liveness);
  if (!status.ok()) return status;
  if (report->liveness == Liveness::kZombie) return {};
  if (report->liveness != Liveness::kRunning) return os_status("kill", ESRCH);
  return kill(pin.target.pid, signal) == 0 ? Status{} : os_status("kill", errno);
}

// Sandboxes refuse unknown system calls with EPERM; the kernel refuses for lack of permission with
// the same code. kill(pid, 0) tells them apart.
bool refused_by_sandbox(const Pin& pin) { return kill(pin.target.pid, 0) == 0; }

}  // namespace

int read_pinned_stat(int proc, const Pin& pin, std::string* buffer, Stat* stat) {
  char path[64];
  int error = 0;
  if (pin.kind == PinKind::kProcDir) {
    error = read_once(pin.fd.get(), "stat", buffer);
  } else {
    proc_path(path, pin.target.pid, "stat");
    error = read_once(proc, path, buffer);
  }
  if (error != 0) return error;
  if (!parse_stat(*buffer, stat)) return EIO;
  stat->start_ticks -= static_cast<uint64_t>(time_namespace_ticks());
  return 0;
}

int open_any_pin(int proc, int32_t pid, Pin* pin) {
  pin->target = Target{pid, 0, std::nullopt};
  pin->kind = PinKind::kPidfd;
  pin->fd.reset(pidfd_open(pid));
  if (!pin->fd) {
    // EPERM never comes from the kernel here: a sandbox that does not know the call.
    return errno == ENOSYS || errno == EPERM ? open_proc_dir(proc, pid, pin) : errno;
  }
  uint64_t inode = 0;
  if (pidfd_inode(pin->fd.get(), &inode)) pin->target.unique = inode;
  return 0;
}

bool pin_holds_number(const Pin& pin) {
  if (pidfd_send_signal(pin.fd.get(), 0, 0) == 0) return true;
  if (errno == ESRCH) return false;
  if (pin.kind == PinKind::kPidfd) return fdinfo_names_pid(pin.fd.get());
  return faccessat(pin.fd.get(), "stat", F_OK, 0) == 0;
}

Status open_pin(const Target& target, std::shared_ptr<Pin>* pin, Liveness* liveness) {
  *liveness = Liveness::kUnknown;
  if (target.pid <= 0) return os_status("pidfd_open", EINVAL);
  ScopedFd proc;
  Status status = open_proc(&proc);
  if (!status.ok()) return status;
  auto made = std::make_shared<Pin>();
  const int error = open_any_pin(proc.get(), target.pid, made.get());
  if (error == EACCES || error == EPERM) return {};
  if (error == ESRCH || error == ENOENT || error == EINVAL) {
    *liveness = Liveness::kGone;  // the number is free, or a thread's by now
    return {};
  }
  if (error != 0) return os_status("pidfd_open", error);
  status = verify_pinned(proc.get(), target, made.get(), liveness);
  if (!status.ok()) return status;
  if (*liveness == Liveness::kRunning || *liveness == Liveness::kZombie) *pin = std::move(made);
  return {};
}

Status open_group_pin(const Target& target, std::shared_ptr<Pin>* pin) {
  Liveness liveness = Liveness::kUnknown;
  const Status status = open_pin(target, pin, &liveness);
  if (!status.ok() || *pin) return status;
  if (!target.unique) return {"ENOTSUP", "open_by_handle_at", 0};
  auto made = std::make_shared<Pin>();
  made->target = target;
  // The number of a reaped leader stays reserved while its group has members, and so does its pidfs
  // entry: the handle still opens, to that process and no other.
  made->fd.reset(pidfd_open_by_inode(*target.unique));
  if (!made->fd) {
    if (errno == ESTALE) return os_status("open_by_handle_at", ESRCH);
    if (is_own_failure(errno)) return os_status("open_by_handle_at", errno);
    return {"ENOTSUP", "open_by_handle_at", errno};
  }
  SignalReport report;
  const Status group = signal_pin(*made, 0, SignalScope::kGroup, &report);
  if (group.is("ESRCH") || group.is("ENOTSUP")) return group;
  *pin = std::move(made);
  return {};
}

Status pin_state(const Pin& pin, Liveness* liveness) {
  if (pin.kind == PinKind::kPidfd) {
    *liveness = pidfd_has_exited(pin.fd.get()) ? exited_liveness(pin) : Liveness::kRunning;
    return {};
  }
  std::string buffer;
  Stat stat;
  const int error = read_pinned_stat(-1, pin, &buffer, &stat);
  if (is_own_failure(error)) return os_status("read /proc/<pid>/stat", error);
  if (error != 0) {
    *liveness = pin_holds_number(pin) ? Liveness::kUnknown : Liveness::kGone;
  } else {
    *liveness = stat.zombie() ? Liveness::kZombie : Liveness::kRunning;
  }
  return {};
}

Status signal_pin(const Pin& pin, int signal, SignalScope scope, SignalReport* report) {
  report->atomic = true;
  if (scope == SignalScope::kGroup) {
    if (pidfd_send_signal(pin.fd.get(), signal, kSignalProcessGroup) == 0) return {};
    if (errno == EINVAL || errno == ENOSYS) return {"ENOTSUP", "pidfd_send_signal", errno};
    return os_status("pidfd_send_signal", errno);
  }
  const Status status = pin_state(pin, &report->liveness);
  if (!status.ok() || report->liveness == Liveness::kZombie) return status;
  if (report->liveness == Liveness::kGone) return os_status("pidfd_send_signal", ESRCH);
  if (pidfd_send_signal(pin.fd.get(), signal, 0) == 0) return {};
  const int error = errno;
  if (error == ENOSYS || (error == EPERM && refused_by_sandbox(pin))) return verify_and_kill(pin, signal, report);
  if (error == ESRCH) report->liveness = Liveness::kGone;
  return os_status("pidfd_send_signal", error);
}

Status verify_process(const Target& target, Liveness* liveness) {
  std::shared_ptr<Pin> pin;
  return open_pin(target, &pin, liveness);
}

}  // namespace pidproof
