// Live sockets of this program, also under a sanitizer. ctest runs the suite again with the features of
// newer kernels taken away (PIDPROOF_TEST_WITHOUT).
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <memory>
#include <thread>

#include "check.h"
#include "linux/diag.h"
#include "linux/syscalls.h"
#include "rows.h"

using pidproof::HolderList;
using pidproof::ScopedFd;
using pidproof::SocketList;
using pidproof::SocketQuery;
using pidproof::SocketRow;
using pidproof::SocketState;
using pidproof_test::row_with;

namespace {

struct Bound {
  ScopedFd fd;
  uint16_t port = 0;
  uint64_t inode = 0;
};

// A TCP socket on 127.0.0.1 or ::1, on a port that the kernel picks.
Bound bind_loopback(int family) {
  Bound bound;
  bound.fd.reset(socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in6 v6{};
  v6.sin6_family = AF_INET6;
  v6.sin6_addr = in6addr_loopback;
  sockaddr_in v4{};
  v4.sin_family = AF_INET;
  v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const auto* address = family == AF_INET ? reinterpret_cast<const sockaddr*>(&v4) : reinterpret_cast<sockaddr*>(&v6);
  CHECK_EQ(bind(bound.fd.get(), address, family == AF_INET ? sizeof v4 : sizeof v6), 0);
  socklen_t length = sizeof v6;
  CHECK_EQ(getsockname(bound.fd.get(), reinterpret_cast<sockaddr*>(&v6), &length), 0);
  bound.port = ntohs(v6.sin6_port);  // at the same place in both
  struct stat file{};
  CHECK_EQ(fstat(bound.fd.get(), &file), 0);
  bound.inode = file.st_ino;
  return bound;
}

Bound listen_loopback(int family = AF_INET) {
  Bound bound = bind_loopback(family);
  CHECK_EQ(listen(bound.fd.get(), 1), 0);
  return bound;
}

SocketList sockets_on(uint16_t port, uint32_t states = 0) {
  SocketQuery query;
  query.protocols = pidproof::kTcp4 | pidproof::kTcp6 | pidproof::kUnix;
  query.states = states;
  query.local_port = port;
  SocketList list;
  CHECK(list_sockets(query, &list).ok());
  return list;
}

HolderList holders_of(const std::vector<uint64_t>& inodes) {
  std::vector<pidproof::SocketHint> hints;
  for (const uint64_t inode : inodes) hints.push_back({inode, 0, std::nullopt});
  HolderList list;
  CHECK(find_socket_holders(hints, &list).ok());
  return list;
}

std::string pids_of(const HolderList& list) {
  std::string text;
  for (const pidproof::SocketHolder& holder : list.holders) text += std::to_string(holder.process.pid) + " ";
  return text;
}

// A fork of this program that waits until it is killed at the end of the scope. False when there is none:
// its number, -1, must not get near kill().
class WaitingChild {
 public:
  WaitingChild() : pid_(fork()) {
    if (pid_ == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      pause();
      _exit(0);
    }
    CHECK(pid_ > 0);
  }
  ~WaitingChild() {
    if (pid_ <= 0) return;
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  WaitingChild(const WaitingChild&) = delete;
  WaitingChild& operator=(const WaitingChild&) = delete;
  explicit operator bool() const { return pid_ > 0; }
  pid_t pid() const { return pid_; }

 private:
  const pid_t pid_;
};

bool withheld() { return pidproof::withheld(pidproof::kSockDiag); }

}  // namespace

TEST("sockets", "a listener is found by its port, with address, state and inode") {
  for (const int family : {AF_INET, AF_INET6}) {
    const Bound bound = listen_loopback(family);
    const SocketList list = sockets_on(bound.port);
    const SocketRow row = row_with(list.rows, bound.inode);
    CHECK_EQ(row.inode, bound.inode);
    CHECK_EQ(row.local_port, bound.port);
    CHECK_EQ(static_cast<int>(row.state), static_cast<int>(SocketState::kListen));
    CHECK_EQ(static_cast<int>(row.protocol), static_cast<int>(family == AF_INET ? pidproof::kTcp4 : pidproof::kTcp6));
    CHECK_EQ(int{row.local_address[family == AF_INET ? 3 : 15]}, 1);
    CHECK_EQ(row.uid, geteuid());
    CHECK_EQ(row.v6_only.has_value(), family == AF_INET6 && !withheld());
  }
}

TEST("sockets", "only the port and the states asked for are listed") {
  const Bound one = listen_loopback();
  const Bound other = listen_loopback();
  for (const SocketRow& row : sockets_on(one.port).rows) CHECK_EQ(row.local_port, one.port);
  CHECK_EQ(row_with(sockets_on(one.port).rows, other.inode).inode, 0u);
  CHECK(sockets_on(one.port, 1u << static_cast<unsigned>(SocketState::kTimeWait)).rows.empty());
}

TEST("sockets", "a bound socket is listed exactly where the kernel shows such sockets") {
  const Bound bound = bind_loopback(AF_INET);
  const SocketList list = sockets_on(bound.port);
  CHECK_EQ(list.bound_visible, !withheld() && pidproof::diag_shows_bound());
  CHECK_EQ(row_with(list.rows, bound.inode).inode == bound.inode, list.bound_visible);
  CHECK(sockets_on(bound.port, 1u << static_cast<unsigned>(SocketState::kListen)).rows.empty());
}

TEST("sockets", "a query without a port lists the sockets of every protocol asked for") {
  const ScopedFd local(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  struct stat file{};
  CHECK_EQ(fstat(local.get(), &file), 0);
  SocketQuery query;
  query.protocols = pidproof::kUnix;
  SocketList list;
  // A table of many sockets comes in several parts: others that come and go in between can hide one.
  for (int attempt = 0; attempt < 10 && row_with(list.rows, file.st_ino).inode == 0; ++attempt) {
    CHECK(list_sockets(query, &list).ok());
    CHECK(!list.bound_visible);
  }
  CHECK_EQ(row_with(list.rows, file.st_ino).inode, file.st_ino);
}

TEST("sockets", "the holder of a socket is found with its start time and its parent, once for many descriptors") {
  const Bound bound = listen_loopback();
  const ScopedFd second(dup(bound.fd.get()));
  const HolderList list = holders_of({bound.inode, bound.inode, 0});
  CHECK_EQ(list.holders.size(), 1u);
  if (list.holders.empty()) return;
  pidproof::ProcessRow self;
  CHECK(read_process(getpid(), pidproof::kUnique, &self).ok());
  const pidproof::SocketHolder& holder = list.holders.front();
  CHECK_EQ(holder.inode, bound.inode);
  CHECK_EQ(holder.process.pid, getpid());
  CHECK_EQ(holder.process.start_token, self.start_token);
  CHECK(holder.process.unique == self.unique);
  CHECK_EQ(holder.ppid, getppid());
}

TEST("sockets", "everybody who inherited a socket holds it") {
  const Bound bound = listen_loopback();
  const std::string self = std::to_string(getpid()) + " ";
  std::vector<uint64_t> inodes;
  int32_t ended = 0;
  {
    const WaitingChild child;
    if (!child) return;
    ended = child.pid();
    const std::string other = std::to_string(ended) + " ";
    CHECK_EQ(pids_of(holders_of({bound.inode})), getpid() < ended ? self + other : other + self);
    CHECK(pidproof::list_process_sockets(ended, &inodes).ok());
    CHECK(std::find(inodes.begin(), inodes.end(), bound.inode) != inodes.end());
  }
  CHECK_EQ(pids_of(holders_of({bound.inode})), self);
  CHECK(pidproof::list_process_sockets(ended, &inodes).is("ESRCH"));
}

TEST("sockets", "all holders are found when there are enough processes for several threads") {
  constexpr size_t kChildren = 128;
  const Bound bound = listen_loopback();
  {
    std::vector<std::unique_ptr<WaitingChild>> children;
    do {
      children.push_back(std::make_unique<WaitingChild>());
    } while (*children.back() && children.size() < kChildren);
    CHECK_EQ(children.size(), kChildren);
    CHECK_EQ(holders_of({bound.inode}).holders.size(), children.size() + 1);
  }
  CHECK_EQ(pids_of(holders_of({bound.inode})), std::to_string(getpid()) + " ");
}

TEST("sockets", "a thread with descriptors of its own holds what its process does not") {
  int told[2];
  int end[2];
  CHECK_EQ(pipe(told), 0);
  CHECK_EQ(pipe(end), 0);
  std::thread thread([&told, &end] {
    CHECK_EQ(unshare(CLONE_FILES), 0);
    const Bound bound = listen_loopback();
    CHECK_EQ(write(told[1], &bound.inode, sizeof bound.inode), static_cast<ssize_t>(sizeof bound.inode));
    char byte = 0;
    CHECK_EQ(read(end[0], &byte, 1), 1);
  });
  uint64_t inode = 0;
  CHECK_EQ(read(told[0], &inode, sizeof inode), static_cast<ssize_t>(sizeof inode));
  CHECK_EQ(pids_of(holders_of({inode})), std::to_string(getpid()) + " ");
  std::vector<uint64_t> inodes;
  CHECK(pidproof::list_process_sockets(getpid(), &inodes).ok());
  CHECK(std::find(inodes.begin(), inodes.end(), inode) != inodes.end());
  CHECK_EQ(write(end[1], "x", 1), 1);
  thread.join();
  for (const int fd : {told[0], told[1], end[0], end[1]}) close(fd);
}

TEST("sockets", "a socket that nobody has open has no holder, and none is looked for when no inode is given") {
  uint64_t closed = 0;
  {
    const Bound bound = listen_loopback();
    closed = bound.inode;
  }
  CHECK(holders_of({closed}).holders.empty());
  CHECK(holders_of({}).holders.empty());
  CHECK(holders_of({0}).holders.empty());
}

TEST("sockets", "numbers that are no process have no sockets") {
  std::vector<uint64_t> inodes;
  CHECK(pidproof::list_process_sockets(0, &inodes).is("EINVAL"));
  CHECK(pidproof::list_process_sockets(-1, &inodes).is("EINVAL"));
  CHECK(pidproof::list_process_sockets(2147483647, &inodes).is("ESRCH"));
}

TEST("sockets", "too few descriptors fail the search, which says nothing about the holders") {
  const Bound bound = listen_loopback();
  rlimit before{};
  CHECK_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  // The limit is the lowest number that may not be used: no more descriptors can be opened.
  const ScopedFd last(dup(bound.fd.get()));
  const rlimit low{static_cast<rlim_t>(last.get()) + 1, before.rlim_max};
  CHECK_EQ(setrlimit(RLIMIT_NOFILE, &low), 0);
  HolderList list;
  const pidproof::Status status = find_socket_holders({{bound.inode, 0, std::nullopt}}, &list);
  CHECK_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
  CHECK_EQ(std::string(status.code), "EMFILE");
}
