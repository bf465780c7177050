#include <sys/utsname.h>
#include <unistd.h>

#include <cstdlib>

#include "linux/diag.h"
#include "linux/procfs.h"
#include "linux/syscalls.h"
#include "platform.h"

namespace pidproof {

namespace {

// Asking needs a reaped process, and nothing is spawned here: the one answer taken from the version.
bool kernel_at_least(int major, int minor) {
  utsname system;
  if (uname(&system) != 0) return false;
  char* end = nullptr;
  const long have_major = strtol(system.release, &end, 10);
  if (*end != '.') return false;
  const long have_minor = strtol(end + 1, nullptr, 10);
  return have_major > major || (have_major == major && have_minor >= minor);
}

void add(std::vector<Capability>* list, const char* name, bool available, const char* detail) {
  list->push_back({name, available, detail});
}

void probe_pidfd(std::vector<Capability>* list) {
  ScopedFd self(pidfd_open(getpid()));
  uint64_t inode = 0;
  PidfdInfo info;
  const bool opened = static_cast<bool>(self);
  const bool signals = opened && pidfd_send_signal(self.get(), 0, 0) == 0;
  const bool unique = opened && pidfd_inode(self.get(), &inode);
  const bool informs = opened && pidfd_get_info(self.get(), kInfoPid | kInfoExit, &info);
  const ScopedFd reopened(unique ? pidfd_open_by_inode(inode) : -1);
  // The flag exists exactly where pidfds are files of pidfs; no signal is needed to know.
  const bool groups = unique && signals && !withheld(kPidfdGroup);
  add(list, "pin", opened, "pidfd_open, Linux 5.3; else a /proc/<pid> directory");
  add(list, "atomic-signal", signals, "pidfd_send_signal, Linux 5.1; else verify, then kill");
  add(list, "event-exit", opened, "epoll on a pidfd, Linux 5.3; else the start time is polled");
  add(list, "unique-id", unique, "pidfs inode, Linux 6.9; else start ticks of 10 ms");
  add(list, "atomic-group-signal", groups, "PIDFD_SIGNAL_PROCESS_GROUP, Linux 6.9; else member by member");
  add(list, "process-info", informs, "PIDFD_GET_INFO, Linux 6.13; else /proc/<pid>/status");
  add(list, "reopen-by-id", static_cast<bool>(reopened), "pidfs file handle, Linux 6.14; else by pid and id");
  add(list, "exit-status", informs && !withheld(kPidfdExit) && kernel_at_least(6, 15),
      "PIDFD_INFO_EXIT, Linux 6.15; else only while a zombie of this user");
}

void probe_procfs(int proc, std::vector<Capability>* list) {
  std::string text;
  const bool all_visible = read_once(proc, "1/stat", &text) == 0;
  add(list, "all-processes-visible", all_visible, "false under a hidepid= mount of /proc");
  const std::string own = "self/task/" + std::to_string(getpid()) + "/children";
  add(list, "children-files", !withheld(kTaskChildren) && read_whole(proc, own.c_str(), &text) == 0,
      "/proc/<pid>/task/<tid>/children, CONFIG_PROC_CHILDREN; else every process is looked at");
}

void probe_sockets(std::vector<Capability>* list) {
  SocketQuery query;
  query.protocols = kTcp4;
  query.local_port = static_cast<uint16_t>(1);
  SocketList sockets;
  const bool readable = list_sockets(query, &sockets).ok();
  add(list, "sockets", readable, "sock_diag, else /proc/self/net");
  add(list, "socket-diag", readable && diag_available(), "NETLINK_SOCK_DIAG: kernel-side port filter");
  add(list, "bound-sockets", readable && sockets.bound_visible,
      "bound but not listening, Linux 6.8; else only bind() tells");
}

}  // namespace

Status read_capabilities(std::vector<Capability>* capabilities) {
  ScopedFd proc;
  const Status status = open_proc(&proc);
  add(capabilities, "process-table", status.ok(), "/proc of this pid namespace");
  if (!status.ok()) return status.is("ENOTSUP") ? Status{} : status;
  probe_pidfd(capabilities);
  probe_procfs(proc.get(), capabilities);
  probe_sockets(capabilities);
  return {};
}

}  // namespace pidproof
