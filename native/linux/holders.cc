#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "linux/parallel_scan.h"
#include "linux/pin.h"
#include "linux/procfs.h"
#include "linux/status.h"
#include "platform.h"

namespace pidproof {

namespace {

constexpr size_t kLeastPart = 48;           // processes worth a thread of their own: 0.5 to 1 ms
constexpr size_t kMostThreads = 8;
constexpr int kPasses = 3;                  // over processes that were born during the pass before
constexpr int kMostWalks = 4;               // over one descriptor table
constexpr int kCompareFiles = 2;            // KCMP_FILES
constexpr nlink_t kTaskLinksOfOne = 2 + 1;  // of a task directory: itself, its parent, one thread

bool denied(int error) { return error == EACCES || error == EPERM; }

// ---- descriptor tables

struct Walk {
  size_t open = 0;        // descriptors
  bool unsteady = false;  // one of them was closed before it was looked at
};

// Calls visit(inode, fd) for every socket among the descriptors that a directory shows. 0 or errno.
template <typename Visit>
int walk_table(int table, Walk* walk, const Visit& visit) {
  alignas(8) char buffer[16384];
  for (;;) {
    const long got = syscall(SYS_getdents64, table, buffer, sizeof buffer);
    if (got <= 0) return got < 0 ? errno : 0;
    for (long at = 0; at < got;) {
      // struct linux_dirent64: the record's length at 16, the name at 19.
      uint16_t length = 0;
      memcpy(&length, buffer + at + 16, sizeof length);
      const char* name = buffer + at + 19;
      at += length;
      if (name[0] < '0' || name[0] > '9') continue;
      ++walk->open;
      char link[40];  // room for "socket:[<64 bits>]"; other links may be cut off
      const ssize_t size = readlinkat(table, name, link, sizeof link);
      if (size < 0 && (denied(errno) || is_own_failure(errno))) return errno;
      if (size < 0) walk->unsteady = true;
      const uint64_t inode = size > 0 ? socket_inode({link, static_cast<size_t>(size)}) : 0;
      if (inode != 0) visit(inode, static_cast<int32_t>(strtol(name, nullptr, 10)));
    }
  }
}

// The same for a "<pid>/fd" or "<pid>/task/<tid>/fd"; *open counts the descriptors. The directory's cursor
// is the descriptor number: what stays open under one number is never missed. What moves to another one
// may be, so that a table that was seen changing is walked again.
template <typename Visit>
int visit_table(int proc, const char* path, size_t* open, const Visit& visit) {
  *open = 0;
  const ScopedFd table(openat(proc, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!table) return errno;
  for (int walks = 1;; ++walks) {
    Walk walk;
    const int error = walk_table(table.get(), &walk, visit);
    *open = walk.open;
    if (error != 0 || !walk.unsteady || walks == kMostWalks) return error;
    if (lseek(table.get(), 0, SEEK_SET) < 0) return errno;
  }
}

void table_path(char* path, int32_t pid, int32_t tid) {
  char file[40];
  if (tid == 0) {
    strcpy(file, "fd");
  } else {
    snprintf(file, sizeof file, "task/%d/fd", tid);
  }
  proc_path(path, pid, file);
}

// Costs 1 µs, a seventh of reading stat. True also where the link count of the directory tells nothing.
bool may_have_threads(int proc, int32_t pid) {
  char path[64];
  proc_path(path, pid, "task");
  struct stat directory;
  return fstatat(proc, path, &directory, 0) == 0 && directory.st_nlink != kTaskLinksOfOne;
}

bool share_table(int32_t one, int32_t other) { return syscall(SYS_kcmp, one, other, kCompareFiles, 0, 0) == 0; }

// Calls visit(inode, fd, tid) for the tables that threads of a process use beside the leader's: those that
// unshared theirs, and all where the leader has exited. 0 or errno; one denied table does not keep from
// the others.
template <typename Visit>
int visit_thread_tables(int proc, int32_t pid, const Visit& visit) {
  char path[64];
  proc_path(path, pid, "task");
  std::vector<int32_t> tids;
  int error = list_numbers(proc, path, &tids);
  int32_t known = pid;
  for (const int32_t tid : tids) {
    if (tid == pid || share_table(known, tid)) continue;
    table_path(path, pid, tid);
    size_t open = 0;
    const int failed = visit_table(proc, path, &open, [&](uint64_t inode, int32_t fd) { visit(inode, fd, tid); });
    if (is_own_failure(failed)) return failed;
    if (denied(failed)) error = failed;
    if (failed == 0 && open > 0) known = tid;
  }
  return error;
}

// The number of open descriptors, readable for everyone since 6.2; 0 where that is not told.
bool shows_descriptors(int proc, int32_t pid) {
  char path[64];
  table_path(path, pid, 0);
  struct stat table;
  return fstatat(proc, path, &table, 0) == 0 && table.st_size > 0;
}

// Calls visit(inode, fd, tid) for the leader's table (tid 0) and for those that its threads do not share with
// it: an exited leader shows an empty one, and to its own user one that may not be opened. 0 or errno.
template <typename Visit>
int visit_process(int proc, int32_t pid, const Visit& visit) {
  char path[64];
  table_path(path, pid, 0);
  size_t open = 0;
  const int error = visit_table(proc, path, &open, [&visit](uint64_t inode, int32_t fd) { visit(inode, fd, 0); });
  if (error == 0) return may_have_threads(proc, pid) ? visit_thread_tables(proc, pid, visit) : 0;
  if (!denied(error) || shows_descriptors(proc, pid)) return error;
  // Kernel threads and zombies have no descriptors, but may not be looked at either.
  std::string text;
  Stat stat;
  proc_path(path, pid, "stat");
  if (read_once(proc, path, &text) != 0 || !parse_stat(text, &stat)) return error;
  if (stat.leader_exited()) return visit_thread_tables(proc, pid, visit);
  return stat.kernel_thread() || stat.zombie() ? 0 : error;
}

// ---- the search

struct Hit {
  uint64_t inode;
  int32_t fd;
  int32_t tid;
};

void keep_one_each(std::vector<Hit>* hits) {
  std::sort(hits->begin(), hits->end(), [](const Hit& one, const Hit& other) { return one.inode < other.inode; });
  const auto same = [](const Hit& one, const Hit& other) { return one.inode == other.inode; };
  hits->erase(std::unique(hits->begin(), hits->end(), same), hits->end());
}

class Searcher {
 public:
  explicit Searcher(const std::vector<uint64_t>& wanted) : wanted_(wanted) {}

  void use(int proc) { proc_ = proc; }
  void look_at(int32_t pid);

  std::vector<SocketHolder> holders;
  std::vector<int32_t> seen;    // looked at from one end to the other
  std::vector<int32_t> unseen;  // may not be looked at, or not at all of it
  int failure = 0;              // our own shortage: the search has to end

 private:
  int collect(int32_t pid);
  int confirm(int32_t pid);
  bool still_open(int32_t pid, const Hit& hit) const;

  int proc_ = -1;
  const std::vector<uint64_t>& wanted_;
  std::vector<Hit> hits_;
  std::string buffer_;
};

int Searcher::collect(int32_t pid) {
  hits_.clear();
  const auto visit = [this](uint64_t inode, int32_t fd, int32_t tid) {
    if (std::binary_search(wanted_.begin(), wanted_.end(), inode)) hits_.push_back({inode, fd, tid});
  };
  const int error = visit_process(proc_, pid, visit);
  keep_one_each(&hits_);
  return error;
}

bool Searcher::still_open(int32_t pid, const Hit& hit) const {
  char path[96];
  table_path(path, pid, hit.tid);
  const size_t length = strlen(path);
  snprintf(path + length, sizeof path - length, "/%d", hit.fd);
  char link[40];
  const ssize_t size = readlinkat(proc_, path, link, sizeof link);
  return size > 0 && socket_inode({link, static_cast<size_t>(size)}) == hit.inode;
}

// Whatever is read between pinning and the answer that the pin still holds its number is the pinned
// process's own. 0 or errno.
int Searcher::confirm(int32_t pid) {
  Pin pin;
  int error = open_any_pin(proc_, pid, &pin);
  Stat stat;
  if (error == 0) error = read_pinned_stat(proc_, pin, &buffer_, &stat);
  if (error != 0) return error;
  // A descriptor may have moved or been closed since; then the table as it is now counts.
  const auto open = [this, pid](const Hit& hit) { return still_open(pid, hit); };
  if (!std::all_of(hits_.begin(), hits_.end(), open)) error = collect(pid);
  if (is_own_failure(error)) return error;
  if (!pin_holds_number(pin)) return ESRCH;
  const Target target{pid, stat.start_ticks, pin.target.unique};
  for (const Hit& hit : hits_) holders.push_back({hit.inode, target, stat.ppid});
  return 0;
}

void Searcher::look_at(int32_t pid) {
  const int looked = collect(pid);
  const int confirmed = hits_.empty() || is_own_failure(looked) ? 0 : confirm(pid);
  for (const int error : {looked, confirmed}) {
    if (is_own_failure(error)) failure = error;
  }
  if (denied(looked) || denied(confirmed)) {
    unseen.push_back(pid);
  } else if (looked == 0 && confirmed == 0) {
    seen.push_back(pid);
  }
}

struct Findings {
  std::vector<SocketHolder> holders;
  std::vector<int32_t> seen, unseen;  // ascending; who is in neither was gone
};

template <typename Value>
void append(std::vector<Value>* to, const std::vector<Value>& from) {
  to->insert(to->end(), from.begin(), from.end());
}

// Looks at the processes on several threads and adds what was found.
Status search(int proc, const std::vector<int32_t>& pids, const std::vector<uint64_t>& wanted, Findings* findings) {
  const size_t parts = std::min(kMostThreads, parallel_parts(pids.size(), kLeastPart));
  std::vector<Searcher> searchers(parts, Searcher(wanted));
  ChunkQueue queue(pids.size(), parts);
  const Status status = scan_parallel(proc, parts, [&](int own_proc, size_t part) {
    Searcher& searcher = searchers[part];
    searcher.use(own_proc);
    queue.drain([&](size_t begin, size_t end, size_t) {
      for (size_t at = begin; at < end && searcher.failure == 0; ++at) searcher.look_at(pids[at]);
    });
  });
  if (!status.ok()) return status;
  for (const Searcher& searcher : searchers) {
    if (searcher.failure != 0) return os_status("read /proc/<pid>/fd", searcher.failure);
    append(&findings->holders, searcher.holders);
    append(&findings->seen, searcher.seen);
    append(&findings->unseen, searcher.unseen);
  }
  std::sort(findings->seen.begin(), findings->seen.end());
  std::sort(findings->unseen.begin(), findings->unseen.end());
  return {};
}

template <typename Number>
std::vector<Number> without(const std::vector<Number>& sorted, const std::vector<Number>& sorted_others) {
  std::vector<Number> rest;
  std::set_difference(sorted.begin(), sorted.end(), sorted_others.begin(), sorted_others.end(),
                      std::back_inserter(rest));
  return rest;
}

std::vector<uint64_t> sorted_inodes(const std::vector<SocketHint>& sockets) {
  std::vector<uint64_t> inodes;
  for (const SocketHint& socket : sockets) {
    if (socket.inode != 0) inodes.push_back(socket.inode);
  }
  std::sort(inodes.begin(), inodes.end());
  inodes.erase(std::unique(inodes.begin(), inodes.end()), inodes.end());
  return inodes;
}

// Until no process was born during the pass before: a fork inherits what its parent was found with.
Status search_processes(int proc, const std::vector<uint64_t>& wanted, Findings* findings) {
  for (int pass = 0; pass < kPasses; ++pass) {
    std::vector<int32_t> pids;
    Status status = list_pids(proc, &pids);
    pids = without(without(pids, findings->seen), findings->unseen);
    if (!status.ok() || pids.empty()) return status;
    status = search(proc, pids, wanted, findings);
    if (!status.ok()) return status;
  }
  return {};
}

}  // namespace

Status find_socket_holders(const std::vector<SocketHint>& sockets, HolderList* list) {
  *list = {};
  const std::vector<uint64_t> wanted = sorted_inodes(sockets);
  if (wanted.empty()) return {};
  ScopedFd proc;
  Findings findings;
  Status status = open_proc(&proc);
  if (status.ok()) status = search_processes(proc.get(), wanted, &findings);
  if (!status.ok()) return status;
  list->unseen = static_cast<uint32_t>(findings.unseen.size());
  // Every pid namespace has a pid 1: if it cannot be seen, others are hidden too (hidepid=).
  if (faccessat(proc.get(), "1", F_OK, 0) != 0) ++list->unseen;
  std::sort(findings.holders.begin(), findings.holders.end(), [](const SocketHolder& one, const SocketHolder& other) {
    return one.inode != other.inode ? one.inode < other.inode : one.process.pid < other.process.pid;
  });
  list->holders = std::move(findings.holders);
  return status;
}

Status list_process_sockets(int32_t pid, std::vector<uint64_t>* inodes) {
  inodes->clear();
  if (pid <= 0) return os_status("pidfd_open", EINVAL);
  ScopedFd proc;
  const Status status = open_proc(&proc);
  if (!status.ok()) return status;
  Pin pin;
  int error = open_any_pin(proc.get(), pid, &pin);
  // ENOENT and EINVAL: the number is a thread's.
  if (error != 0) return os_status("pidfd_open", error == ENOENT || error == EINVAL ? ESRCH : error);
  const auto visit = [inodes](uint64_t inode, int32_t, int32_t) { inodes->push_back(inode); };
  error = visit_process(proc.get(), pid, visit);
  if (!pin_holds_number(pin)) return os_status("read /proc/<pid>/fd", ESRCH);
  // Alive by its pin, yet nothing of it in /proc: hidden from this user.
  if (error == ENOENT || error == ESRCH || error == EPERM) error = EACCES;
  std::sort(inodes->begin(), inodes->end());
  inodes->erase(std::unique(inodes->begin(), inodes->end()), inodes->end());
  return os_status("read /proc/<pid>/fd", error);
}

}  // namespace pidproof
