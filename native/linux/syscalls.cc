#include "linux/syscalls.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string_view>

namespace pidproof {

namespace {

// Same numbers on every architecture (the table was unified before these calls were added).
constexpr long kSysPidfdSendSignal = 424;
constexpr long kSysPidfdOpen = 434;
constexpr unsigned long kPidfsMagic = 0x50494446;
constexpr unsigned long kPidfdGetInfo = _IOWR(0xFF, 11, PidfdInfo);
constexpr int kPidfsHandleType = 0xfe;
constexpr int kPidfsRoot = -10002;  // FD_PIDFS_ROOT, 6.17

struct FeatureName {
  std::string_view name;
  Feature feature;
};
constexpr FeatureName kFeatureNames[] = {
    {"pidfd_open", kPidfdOpen},
    {"pidfd_send_signal", kPidfdSendSignal},
    {"pidfs", kPidfs},
    {"pidfd_group", kPidfdGroup},
    {"pidfd_info", kPidfdInfo},
    {"pidfd_exit", kPidfdExit},
    {"pidfd_handle", kPidfdHandle},
    {"sock_diag", kSockDiag},
    {"task_children", kTaskChildren},
};

uint32_t withheld_features() {
  const char* setting = getenv("PIDPROOF_TEST_WITHOUT");
  uint32_t features = 0;
  std::string_view rest = setting ? setting : "";
  while (!rest.empty()) {
    const size_t comma = rest.find(',');
    const std::string_view name = rest.substr(0, comma);
    for (const FeatureName& known : kFeatureNames) {
      if (known.name == name) features |= known.feature;
    }
    rest = comma == std::string_view::npos ? std::string_view() : rest.substr(comma + 1);
  }
  return features;
}

int absent(int error = ENOSYS) {
  errno = error;
  return -1;
}

// struct file_handle with room for pidfs's eight bytes.
struct PidfsHandle {
  unsigned handle_bytes = 8;
  int handle_type = kPidfsHandleType;
  unsigned char bytes[8] = {};
};

}  // namespace

bool withheld(Feature feature) {
  static const uint32_t features = withheld_features();
  return (features & feature) != 0;
}

int pidfd_open(int pid) {
  if (withheld(kPidfdOpen)) return absent();
  return static_cast<int>(syscall(kSysPidfdOpen, pid, 0));
}

int pidfd_send_signal(int pidfd, int signal, unsigned flags) {
  if (withheld(kPidfdSendSignal)) return absent();
  if (flags != 0 && withheld(kPidfdGroup)) return absent(EINVAL);
  return static_cast<int>(syscall(kSysPidfdSendSignal, pidfd, signal, nullptr, flags));
}

bool pidfd_inode(int pidfd, uint64_t* inode) {
  struct statfs filesystem;
  struct stat file;
  if (withheld(kPidfs) || sizeof(file.st_ino) < sizeof(uint64_t)) return false;
  if (fstatfs(pidfd, &filesystem) != 0 || static_cast<unsigned long>(filesystem.f_type) != kPidfsMagic) return false;
  if (fstat(pidfd, &file) != 0) return false;
  *inode = file.st_ino;
  return true;
}

int pidfd_open_by_inode(uint64_t inode) {
  if (withheld(kPidfdHandle) || withheld(kPidfs)) return absent(EOPNOTSUPP);
  PidfsHandle handle;
  memcpy(handle.bytes, &inode, sizeof inode);
  int pidfd = static_cast<int>(syscall(SYS_open_by_handle_at, kPidfsRoot, &handle, O_CLOEXEC));
  if (pidfd >= 0 || errno != EBADF) return pidfd;
  // Before 6.17 any pidfd stands for the file system; our own always exists.
  const int self = pidfd_open(getpid());
  if (self < 0) return -1;
  pidfd = static_cast<int>(syscall(SYS_open_by_handle_at, self, &handle, O_CLOEXEC));
  const int error = errno;
  close(self);
  errno = error;
  return pidfd;
}

bool pidfd_get_info(int pidfd, uint64_t mask, PidfdInfo* info) {
  if (withheld(kPidfdInfo)) return absent(ENOTTY) == 0;
  if (withheld(kPidfdExit)) mask &= ~kInfoExit;
  memset(info, 0, sizeof *info);
  info->mask = mask;
  return ioctl(pidfd, kPidfdGetInfo, info) == 0;
}

bool pidfd_has_exited(int pidfd) {
  pollfd poller{pidfd, POLLIN, 0};
  int ready = 0;
  do {
    ready = poll(&poller, 1, 0);
  } while (ready < 0 && errno == EINTR);
  return ready > 0 && (poller.revents & POLLIN) != 0;
}

}  // namespace pidproof
