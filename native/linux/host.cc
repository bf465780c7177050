#include <sys/stat.h>
#include <unistd.h>

#include "linux/procfs.h"
#include "platform.h"

namespace pidproof {

Status read_host(Host* host) {
  ScopedFd proc;
  const Status status = open_proc(&proc);
  if (!status.ok()) return status;
  // Absent under a subset=pid mount: then no record can be compared, and that is what empty says.
  if (read_whole(proc.get(), "sys/kernel/random/boot_id", &host->boot) != 0) host->boot.clear();
  while (!host->boot.empty() && host->boot.back() == '\n') host->boot.pop_back();
  struct stat space;
  host->space = fstatat(proc.get(), "self/ns/pid", &space, 0) == 0 ? std::to_string(space.st_ino) : std::string();
  host->pid = getpid();
  host->uid = getuid();
  host->euid = geteuid();
  return {};
}

}  // namespace pidproof
