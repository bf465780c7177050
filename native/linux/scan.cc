#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <unordered_map>

#include "linux/filter.h"
#include "linux/parallel_scan.h"
#include "linux/pin.h"
#include "linux/procfs.h"
#include "linux/reader.h"
#include "linux/status.h"
#include "linux/syscalls.h"
#include "platform.h"

namespace pidproof {

namespace {

constexpr size_t kLeastPart = 96;        // processes worth a thread of their own: 0.3 to 1 ms
constexpr size_t kFewParents = 64;       // beyond that one pass over all processes is cheaper
constexpr int kStableReads = 4;
constexpr int kImageRetries = 3;

enum class Match { kNo, kYes, kUndecided };

template <typename Value>
bool contains(const std::optional<std::vector<Value>>& sorted, Value value) {
  return !sorted || std::binary_search(sorted->begin(), sorted->end(), value);
}

template <typename Value>
void sort_set(std::optional<std::vector<Value>>* set) {
  if (*set) std::sort((*set)->begin(), (*set)->end());
}

bool vanished(int error) { return error == ENOENT || error == ESRCH; }

// What was found among some of the processes.
struct Found {
  std::vector<ProcessRow> rows;
  std::vector<int32_t> undecided;
  bool hidden = false;
  int failure = 0;
};

template <typename Element>
void append(std::vector<Element> more, std::vector<Element>* all) {
  if (all->capacity() == 0) {
    *all = std::move(more);
  } else {
    std::move(more.begin(), more.end(), std::back_inserter(*all));
  }
}

class Scanner {
 public:
  Scanner(const ReadContext& context, const ScanFilter& filter, uint32_t fields)
      : context_(context), filter_(filter), fields_(fields), reader_(context) {}

  // Visits pids[begin] to pids[end - 1], as long as it does not run short of something.
  void visit(const std::vector<int32_t>& pids, size_t begin, size_t end, Found* found);

 private:
  void visit(int32_t pid);
  int failure() const { return failure_ != 0 ? failure_ : reader_.own_failure(); }
  bool passes_ids(int32_t pid);
  Match match(int32_t pid);
  Match match_stat(const Stat& stat) const;
  Match match_texts(const Stat& stat);
  bool needs_stat() const { return filter_.ppids || filter_.started_after_ms || filter_.started_before_ms; }
  bool has_texts() const {
    return !filter_.exe.empty() || !filter_.argv_tokens.empty() || !filter_.argv_sequences.empty() ||
           !filter_.env.empty();
  }
  void read_plain(int32_t pid);
  void read_pinned(int32_t pid);
  bool read_under(const Pin& pin, ProcessRow* row, Match* matched);
  int stat_of(int32_t pid, Stat* stat);

  const ReadContext& context_;
  const ScanFilter& filter_;
  const uint32_t fields_;
  Found* found_ = nullptr;
  ProcessReader reader_;
  std::string text_;
  bool without_area_ = false;
  int failure_ = 0;
};

int Scanner::stat_of(int32_t pid, Stat* stat) {
  const int error = reader_.read_stat(pid, stat);
  if (error != 0 && !vanished(error)) found_->hidden = true;
  return error;
}

// The parts of the filter that need no open file: 0.2 to 0.8 µs each.
bool Scanner::passes_ids(int32_t pid) {
  if (!contains(filter_.pids, pid)) return false;
  if (filter_.pgids && !contains(filter_.pgids, static_cast<int32_t>(getpgid(pid)))) return false;
  if (filter_.sids && !contains(filter_.sids, static_cast<int32_t>(getsid(pid)))) return false;
  if (!filter_.uids) return true;
  char name[16];
  snprintf(name, sizeof name, "%d", pid);
  struct stat directory;
  return fstatat(context_.proc, name, &directory, 0) == 0 &&
         contains(filter_.uids, static_cast<uint32_t>(directory.st_uid));
}

Match Scanner::match_stat(const Stat& stat) const {
  if (!contains(filter_.ppids, stat.ppid)) return Match::kNo;
  const double started = context_.started_at_ms(stat.start_ticks);
  if (filter_.started_after_ms && started <= *filter_.started_after_ms) return Match::kNo;
  if (filter_.started_before_ms && started >= *filter_.started_before_ms) return Match::kNo;
  return Match::kYes;
}

// Cheapest source first; one that does not match ends it, one that cannot be read leaves it open.
Match Scanner::match_texts(const Stat& stat) {
  bool open = false;
  const auto decide = [&open, this](Missing reason, auto&& matches) {
    if (reason == Missing::kPresent) return matches();
    without_area_ = without_area_ || reason == Missing::kGone;
    open = open || reason == Missing::kDenied;
    return reason == Missing::kDenied;
  };
  if (!filter_.exe.empty()) {
    ProcessRow row;
    reader_.fill(stat, kExe, &row);
    if (!decide(missing_of(&row, kExe), [&] { return matches_exe(row.exe, filter_.exe); })) return Match::kNo;
  }
  if (!filter_.argv_tokens.empty() || !filter_.argv_sequences.empty()) {
    const auto matches = [this] {
      return has_tokens(text_, filter_.argv_tokens) &&
             std::all_of(filter_.argv_sequences.begin(), filter_.argv_sequences.end(),
                         [this](const std::vector<std::string>& sequence) { return has_sequence(text_, sequence); });
    };
    if (!decide(reader_.read_area(stat, "cmdline", &text_), matches)) return Match::kNo;
  }
  if (!filter_.env.empty()) {
    const auto matches = [this] {
      return std::all_of(filter_.env.begin(), filter_.env.end(),
                         [this](const std::string& entry) { return has_variable(text_, entry); });
    };
    if (!decide(reader_.read_area(stat, "environ", &text_), matches)) return Match::kNo;
  }
  return open ? Match::kUndecided : Match::kYes;
}

// A stat costs more than the text it would guard: texts are first tried as for a plain live process,
// and only where there was none stat tells why (kernel thread, zombie, exited leader, exec under way).
Match Scanner::match(int32_t pid) {
  Stat stat;
  stat.pid = pid;
  if (!needs_stat() && has_texts()) {
    without_area_ = false;
    const Match matched = match_texts(stat);
    if (!without_area_) return matched;
  }
  if (!needs_stat() && !has_texts()) return Match::kYes;
  if (stat_of(pid, &stat) != 0 || match_stat(stat) == Match::kNo) return Match::kNo;
  if (!has_texts()) return Match::kYes;
  return stat.kernel_thread() || stat.zombie() ? Match::kNo : match_texts(stat);
}

void Scanner::read_plain(int32_t pid) {
  Stat stat;
  if (stat_of(pid, &stat) != 0) return;
  found_->rows.emplace_back();
  reader_.fill(stat, fields_, &found_->rows.back());
}

// Reads everything between two looks at stat; false when another program took over in between.
bool Scanner::read_under(const Pin& pin, ProcessRow* row, Match* matched) {
  Stat before;
  if (stat_of(pin.target.pid, &before) != 0) {
    *matched = Match::kNo;
    return true;
  }
  *matched = match_stat(before);
  if (*matched == Match::kYes && has_texts()) *matched = match_texts(before);
  if (*matched != Match::kYes) return true;
  *row = ProcessRow();
  reader_.fill(before, fields_, row);
  if ((fields_ & kParent) != 0 && !filter_.empty()) reader_.fill_parent(true, row);
  row->unique = pin.target.unique;
  if (!row->unique) missing_of(row, kUnique) = Missing::kUnsupported;
  Stat after;
  if (stat_of(pin.target.pid, &after) != 0) return true;
  return after.ppid == row->ppid && before.arg_start == after.arg_start && before.env_start == after.env_start;
}

void Scanner::read_pinned(int32_t pid) {
  Pin pin;
  const int error = open_any_pin(context_.proc, pid, &pin);
  if (is_own_failure(error)) failure_ = error;
  if (error != 0) return;
  ProcessRow row;
  Match matched = Match::kNo;
  for (int attempt = 0; attempt < kImageRetries; ++attempt) {
    if (read_under(pin, &row, &matched)) break;
  }
  if (matched == Match::kNo || !pin_holds_number(pin)) return;
  if (matched == Match::kYes) {
    found_->rows.push_back(std::move(row));
  } else {
    found_->undecided.push_back(pid);
  }
}

void Scanner::visit(const std::vector<int32_t>& pids, size_t begin, size_t end, Found* found) {
  found_ = found;
  for (size_t at = begin; at < end && failure() == 0; ++at) visit(pids[at]);
  found->failure = failure();
}

void Scanner::visit(int32_t pid) {
  if (filter_.empty()) {
    if ((fields_ & kUnique) != 0) {
      read_pinned(pid);
    } else {
      read_plain(pid);
    }
    return;
  }
  if (!passes_ids(pid)) return;
  switch (match(pid)) {
    case Match::kNo: return;
    case Match::kYes: return read_pinned(pid);
    case Match::kUndecided: found_->undecided.push_back(pid);
  }
}

// The processes forked by any thread of `parent`. False where the kernel has no such file.
bool read_children(int proc, int32_t parent, std::vector<int32_t>* children, int* failure) {
  char path[64];
  proc_path(path, parent, "task");
  std::vector<int32_t> threads;
  const int error = list_numbers(proc, path, &threads);
  if (is_own_failure(error)) *failure = error;
  std::string text;
  for (const int32_t thread : threads) {
    snprintf(path, sizeof path, "%d/task/%d/children", parent, thread);
    const int read = read_whole(proc, path, &text);
    if (is_own_failure(read)) *failure = read;
    if (read == ENOENT && faccessat(proc, path, F_OK, 0) != 0) {
      snprintf(path, sizeof path, "%d/task/%d/stat", parent, thread);
      if (faccessat(proc, path, F_OK, 0) == 0) return false;
    }
    for (const char* at = text.c_str(); read == 0 && *at != '\0';) {
      char* end = nullptr;
      const long pid = strtol(at, &end, 10);
      if (end == at) break;
      children->push_back(static_cast<int32_t>(pid));
      at = end + (*end == ' ' ? 1 : 0);
    }
  }
  return true;
}

// Candidates of a small parent set, from the children files: 50 times cheaper than a full pass. A child
// that exits while such a file is read can hide its sibling, so it is read until two reads agree.
bool list_children(int proc, const std::vector<int32_t>& parents, std::vector<int32_t>* pids, int* failure) {
  if (withheld(kTaskChildren) || parents.size() > kFewParents) return false;
  std::vector<int32_t> previous;
  for (int attempt = 0; attempt < kStableReads; ++attempt) {
    pids->clear();
    for (const int32_t parent : parents) {
      // Kernel threads and the namespace's first processes have parents that no file lists.
      if (parent <= 0 || !read_children(proc, parent, pids, failure)) return false;
    }
    std::sort(pids->begin(), pids->end());
    if (attempt > 0 && *pids == previous) return true;
    previous = *pids;
  }
  return false;  // it never came to rest: one full pass sees everything that lives throughout
}

Status list_candidates(int proc, const ScanFilter& filter, std::vector<int32_t>* pids) {
  if (filter.pids) {
    *pids = *filter.pids;
    pids->erase(std::unique(pids->begin(), pids->end()), pids->end());
    return {};
  }
  int failure = 0;
  if (filter.ppids && list_children(proc, *filter.ppids, pids, &failure)) return os_status("read children", failure);
  if (failure != 0) return os_status("read children", failure);
  return list_pids(proc, pids);
}

// In a full listing the parents are among the rows.
void join_parents(std::vector<ProcessRow>* rows) {
  std::unordered_map<int32_t, const ProcessRow*> by_pid;
  by_pid.reserve(rows->size());
  for (const ProcessRow& row : *rows) by_pid.emplace(row.pid, &row);
  for (ProcessRow& row : *rows) {
    const auto parent = by_pid.find(row.ppid);
    if (parent == by_pid.end() || parent->second->start_token > row.start_token) {
      missing_of(&row, kParent) = Missing::kNone;
      continue;
    }
    row.parent_start_token = parent->second->start_token;
    row.parent_unique = parent->second->unique;
  }
}

// pid 1 of a namespace always exists; if its stat cannot be read, others are hidden as well.
bool hides_processes(int proc) {
  std::string text;
  const int error = read_once(proc, "1/stat", &text);
  return error == ENOENT || error == EPERM || error == EACCES;
}

ScanFilter sorted_filter(ScanFilter filter) {
  sort_set(&filter.pids);
  sort_set(&filter.ppids);
  sort_set(&filter.pgids);
  sort_set(&filter.sids);
  sort_set(&filter.uids);
  return filter;
}

}  // namespace

Status scan_processes(uint32_t fields, const ScanFilter& filter, ScanResult* result) {
  ScopedFd proc;
  Status status = open_proc(&proc);
  if (!status.ok()) return status;
  const ScanFilter sorted = sorted_filter(filter);
  std::vector<int32_t> pids;
  status = list_candidates(proc.get(), sorted, &pids);
  if (!status.ok()) return status;

  const ReadContext context = make_read_context(proc.get());
  const size_t parts = parallel_parts(pids.size(), kLeastPart);
  ChunkQueue queue(pids.size(), parts);
  std::vector<Found> chunks(queue.chunks());
  status = scan_parallel(proc.get(), parts, [&](int own_proc, size_t) {
    ReadContext own = context;
    own.proc = own_proc;
    Scanner scanner(own, sorted, fields);
    queue.drain([&](size_t begin, size_t end, size_t chunk) {
      if (sorted.empty()) chunks[chunk].rows.reserve(end - begin);
      scanner.visit(pids, begin, end, &chunks[chunk]);
    });
  });
  if (!status.ok()) return status;

  result->partial = hides_processes(proc.get());
  if (sorted.empty() && chunks.size() > 1) result->rows.reserve(pids.size());
  for (Found& chunk : chunks) {
    if (chunk.failure != 0) return os_status("read /proc", chunk.failure);
    result->partial = result->partial || chunk.hidden;
    append(std::move(chunk.rows), &result->rows);
    append(std::move(chunk.undecided), &result->undecided);
  }
  if (sorted.empty() && (fields & kParent) != 0) join_parents(&result->rows);
  return {};
}

Status read_process(int32_t pid, uint32_t fields, ProcessRow* row) {
  if (pid <= 0) return os_status("pidfd_open", EINVAL);
  ScopedFd proc;
  Status status = open_proc(&proc);
  if (!status.ok()) return status;
  Pin pin;
  const int error = open_any_pin(proc.get(), pid, &pin);
  // ENOENT and EINVAL: the number is a thread's.
  if (error != 0) return os_status("pidfd_open", error == ENOENT || error == EINVAL ? ESRCH : error);
  const ReadContext context = make_read_context(proc.get());
  ScanFilter filter;
  filter.pids = std::vector<int32_t>{pid};
  Found found;
  Scanner(context, filter, fields).visit({pid}, 0, 1, &found);
  if (found.failure != 0) return os_status("read /proc", found.failure);
  if (!found.rows.empty()) {
    *row = std::move(found.rows.front());
    return {};
  }
  // Alive by its pin, yet nothing to see in /proc: hidden from this user.
  return os_status("read /proc/<pid>/stat", pin_holds_number(pin) ? EACCES : ESRCH);
}

}  // namespace pidproof
