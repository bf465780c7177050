// The newer system calls, by number: glibc < 2.36 and musl have no wrappers for them.
//
// Each can be made to answer as on a kernel that lacks it, for tests only: PIDPROOF_TEST_WITHOUT
// names features, separated by commas, and is read once. See CONTRIBUTING.md.
#pragma once

#include <csignal>
#include <cstdint>

namespace pidproof {

enum Feature : uint32_t {
  kPidfdOpen = 1u << 0,        // 5.3
  kPidfdSendSignal = 1u << 1,  // 5.1
  kPidfs = 1u << 2,            // 6.9: inode numbers that identify
  kPidfdGroup = 1u << 3,       // 6.9: group signals through a pidfd
  kPidfdInfo = 1u << 4,        // 6.13
  kPidfdExit = 1u << 5,        // 6.15: exit status of any process
  kPidfdHandle = 1u << 6,      // 6.14: reopening by file handle
  kSockDiag = 1u << 7,
  kTaskChildren = 1u << 8,     // CONFIG_PROC_CHILDREN
};

// True when the tests have taken the feature away.
bool withheld(Feature feature);

// As the system calls: -1 and errno.
int pidfd_open(int pid);
int pidfd_send_signal(int pidfd, int signal, unsigned flags);
constexpr unsigned kSignalProcessGroup = 4;

// The pidfs inode of a pidfd; false where pidfds are anonymous inodes.
bool pidfd_inode(int pidfd, uint64_t* inode);

// A pidfd to exactly the process with that pidfs inode. errno: ESTALE gone, others unsupported.
int pidfd_open_by_inode(uint64_t inode);

struct PidfdInfo {  // struct pidfd_info of <linux/pidfd.h>, its first version
  uint64_t mask;
  uint64_t cgroup_id;
  uint32_t pid, tgid, ppid;
  uint32_t ruid, rgid, euid, egid, suid, sgid, fsuid, fsgid;
  int32_t exit_code;
};
static_assert(sizeof(PidfdInfo) == 64, "PIDFD_INFO_SIZE_VER0");
constexpr uint64_t kInfoPid = 1, kInfoCreds = 2, kInfoCgroup = 4, kInfoExit = 8;

// PIDFD_GET_INFO with `mask` asked for; info->mask tells what was given.
bool pidfd_get_info(int pidfd, uint64_t mask, PidfdInfo* info);

// Readable: the whole thread group has exited. Not a wait: answers at once.
bool pidfd_has_exited(int pidfd);

}  // namespace pidproof
