#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <mutex>
#include <system_error>
#include <thread>
#include <unordered_map>
#include <utility>

#include "linux/pin.h"
#include "linux/status.h"
#include "linux/syscalls.h"

namespace pidproof {

namespace {

using Clock = std::chrono::steady_clock;

constexpr int kEventsPerWake = 256;
constexpr int kFirstPauseMs = 5;
constexpr int kLastPauseMs = 100;

int longer_pause(int pause_ms) { return std::clamp(pause_ms * 2, kFirstPauseMs, kLastPauseMs); }

// Rounded up, so that a wait never wakes just before its time and spins.
int ms_until(Clock::time_point when) {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(when - Clock::now()).count();
  return static_cast<int>(std::clamp<int64_t>(left, 0, INT32_MAX));
}

// ---- how it ended

// 6.15: kept by pidfs once the parent has collected it.
std::optional<int32_t> collected_status(const Pin& pin) {
  PidfdInfo info;
  if (pin.kind != PinKind::kPidfd || !pidfd_get_info(pin.fd.get(), kInfoExit, &info)) return std::nullopt;
  if ((info.mask & kInfoExit) == 0) return std::nullopt;
  return info.exit_code;
}

// The exit code in stat reads 0 for whoever may not see it. exe obeys the same rule but says so:
// EACCES, while a zombie that may be looked at has none (ENOENT).
bool status_is_shown(int proc, const Pin& pin) {
  std::string link;
  if (pin.kind == PinKind::kProcDir) return read_link(pin.fd.get(), "exe", &link) == ENOENT;
  char path[64];
  proc_path(path, pin.target.pid, "exe");
  return read_link(proc, path, &link) == ENOENT;
}

// Before the parent collects it. The reads count only if the pin is unreaped after them.
std::optional<int32_t> zombie_status(int proc, const Pin& pin, std::string* buffer) {
  Stat stat;
  if (read_pinned_stat(proc, pin, buffer, &stat) != 0 || !stat.zombie()) return std::nullopt;
  if (stat.exit_code == 0 && !status_is_shown(proc, pin)) return std::nullopt;
  if (!pin_holds_number(pin)) return std::nullopt;
  return stat.exit_code;
}

ExitNotice read_exit(int proc, const Pin& pin, std::string* buffer) {
  std::optional<int32_t> status = collected_status(pin);
  if (!status) status = zombie_status(proc, pin, buffer);
  if (!status) status = collected_status(pin);  // reaped in between
  ExitNotice notice;
  if (!status) return notice;
  const int32_t signal = *status & 0x7f;
  if (signal != 0) {
    notice.signal = signal;
  } else {
    notice.exit_code = (*status >> 8) & 0xff;
  }
  return notice;
}

// A failure to look is not an exit.
bool has_exited(const Pin& pin) {
  if (pin.kind == PinKind::kPidfd) return pidfd_has_exited(pin.fd.get());
  Liveness liveness = Liveness::kUnknown;
  if (!pin_state(pin, &liveness).ok()) return false;
  return liveness == Liveness::kZombie || liveness == Liveness::kGone || liveness == Liveness::kReplaced;
}

// ---- many waits, one thread

// Sleeps in epoll_wait until a pinned process exits. Pins that cannot be waited for (kProcDir) are
// looked at from time to time, and only while there are some.
class EpollWatcher final : public ExitWatcher {
 public:
  explicit EpollWatcher(Callback callback) : callback_(std::move(callback)) {}
  ~EpollWatcher() override;

  Status start();
  Status add(uint64_t id, std::shared_ptr<Pin> pin) override;
  void remove(uint64_t id) override;

 private:
  struct Watch {
    std::shared_ptr<Pin> pin;
    std::vector<uint64_t> ids;
  };

  Status start_thread();
  Status attach(Pin* pin);
  void detach(const Pin& pin);
  void wake();
  void run();
  int pause_until(Clock::time_point next_look);
  void take(const Pin* pin, std::vector<Watch>* ended);
  void take_looked_at(std::vector<Watch>* ended);
  void report(std::vector<Watch>* ended);

  const Callback callback_;
  ScopedFd epoll_, wakeup_, proc_;
  std::atomic<bool> stopping_{false};
  std::string buffer_;  // the thread's own

  std::mutex mutex_;  // guards what follows
  std::unordered_map<const Pin*, Watch> watches_;
  std::unordered_map<uint64_t, const Pin*> pins_;
  size_t unpollable_ = 0;

  std::thread thread_;
};

EpollWatcher::~EpollWatcher() {
  if (!thread_.joinable()) return;
  stopping_ = true;
  wake();
  thread_.join();
}

Status EpollWatcher::start() {
  epoll_.reset(epoll_create1(EPOLL_CLOEXEC));
  if (!epoll_) return os_status("epoll_create1", errno);
  wakeup_.reset(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wakeup_) return os_status("eventfd", errno);
  epoll_event event{};
  event.events = EPOLLIN;
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, wakeup_.get(), &event) != 0) return os_status("epoll_ctl", errno);
  // Without a usable /proc exits are still seen, only their status is not.
  const Status status = open_proc(&proc_);
  if (!status.ok() && !status.is("ENOTSUP")) return status;
  return start_thread();
}

// With every signal blocked: the handlers of the host belong on its own threads.
Status EpollWatcher::start_thread() {
  sigset_t all, previous;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &previous);
  int error = 0;
  try {
    thread_ = std::thread([this] { run(); });
  } catch (const std::system_error& failure) {
    error = failure.code().value();
  }
  pthread_sigmask(SIG_SETMASK, &previous, nullptr);
  return os_status("pthread_create", error);
}

Status EpollWatcher::add(uint64_t id, std::shared_ptr<Pin> pin) {
  const std::lock_guard<std::mutex> lock(mutex_);
  Watch& watch = watches_[pin.get()];
  if (watch.ids.empty()) {
    const Status status = attach(pin.get());
    if (!status.ok()) {
      watches_.erase(pin.get());
      return status;
    }
  }
  watch.ids.push_back(id);
  pins_[id] = pin.get();
  watch.pin = std::move(pin);
  return {};
}

void EpollWatcher::remove(uint64_t id) {
  std::shared_ptr<Pin> last;  // closed after the lock is gone
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto known = pins_.find(id);
  if (known == pins_.end()) return;
  const auto found = watches_.find(known->second);
  pins_.erase(known);
  std::vector<uint64_t>& ids = found->second.ids;
  ids.erase(std::find(ids.begin(), ids.end(), id));
  if (!ids.empty()) return;
  detach(*found->second.pin);
  last = std::move(found->second.pin);
  watches_.erase(found);
}

// The descriptor is registered once, however many wait for it.
Status EpollWatcher::attach(Pin* pin) {
  if (pin->kind == PinKind::kProcDir) {
    ++unpollable_;
    wake();
    return {};
  }
  epoll_event event{};
  event.events = EPOLLIN | EPOLLONESHOT;
  event.data.ptr = pin;
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, pin->fd.get(), &event) == 0) return {};
  return os_status("epoll_ctl", errno);
}

// Not left to close(): a child between fork and exec shares the open file and would keep it registered.
void EpollWatcher::detach(const Pin& pin) {
  if (pin.kind == PinKind::kProcDir) {
    --unpollable_;
  } else {
    epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, pin.fd.get(), nullptr);
  }
}

void EpollWatcher::wake() {
  const uint64_t one = 1;
  // EAGAIN: the counter is full, so a wake-up is due anyway.
  while (write(wakeup_.get(), &one, sizeof one) < 0 && errno == EINTR) {
  }
}

void EpollWatcher::run() {
  pthread_setname_np(pthread_self(), "pidproof-exits");
  std::array<epoll_event, kEventsPerWake> events;
  std::vector<Watch> ended;
  Clock::time_point next_look = Clock::now();
  int pause_ms = 0;
  while (!stopping_) {
    const int count = epoll_wait(epoll_.get(), events.data(), kEventsPerWake, pause_until(next_look));
    if (count < 0 && errno != EINTR) return;  // somebody closed our descriptor
    bool woken = false;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      for (int i = 0; i < count; ++i) {
        const auto* pin = static_cast<const Pin*>(events[static_cast<size_t>(i)].data.ptr);
        woken = woken || pin == nullptr;
        if (pin != nullptr) take(pin, &ended);
      }
    }
    if (woken) {
      uint64_t times = 0;
      while (read(wakeup_.get(), &times, sizeof times) < 0 && errno == EINTR) {
      }
      pause_ms = 0;
    }
    if (woken || Clock::now() >= next_look) {
      take_looked_at(&ended);
      pause_ms = longer_pause(pause_ms);
      next_look = Clock::now() + std::chrono::milliseconds(pause_ms);
    }
    report(&ended);
  }
}

int EpollWatcher::pause_until(Clock::time_point next_look) {
  const std::lock_guard<std::mutex> lock(mutex_);
  return unpollable_ == 0 ? -1 : ms_until(next_look);
}

// An event may be older than its watch: taken from the kernel, then the watch was removed and a new
// pin came to lie at the same address. So the descriptor itself is asked once more.
void EpollWatcher::take(const Pin* pin, std::vector<Watch>* ended) {
  const auto found = watches_.find(pin);
  if (found == watches_.end() || !has_exited(*pin)) return;
  detach(*pin);
  for (const uint64_t id : found->second.ids) pins_.erase(id);
  ended->push_back(std::move(found->second));
  watches_.erase(found);
}

// Looks without the lock: every look reads a file.
void EpollWatcher::take_looked_at(std::vector<Watch>* ended) {
  std::vector<std::shared_ptr<Pin>> exited;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (unpollable_ == 0) return;
    for (const auto& [pin, watch] : watches_) {
      if (pin->kind == PinKind::kProcDir) exited.push_back(watch.pin);
    }
  }
  exited.erase(std::remove_if(exited.begin(), exited.end(), [](const auto& pin) { return !has_exited(*pin); }),
               exited.end());
  const std::lock_guard<std::mutex> lock(mutex_);
  for (const auto& pin : exited) take(pin.get(), ended);
}

void EpollWatcher::report(std::vector<Watch>* ended) {
  for (const Watch& watch : *ended) {
    const ExitNotice notice = read_exit(proc_.get(), *watch.pin, &buffer_);
    for (const uint64_t id : watch.ids) callback_(id, notice);
  }
  ended->clear();
}

// ---- waiting on the calling thread

struct Waiting {
  std::vector<pollfd> files;    // -1 for a pin that cannot be waited for
  std::vector<size_t> indexes;  // into the pins, in step with `files`
  bool unpollable = false;
};

Waiting wait_for_all(const std::vector<std::shared_ptr<Pin>>& pins) {
  Waiting waiting;
  for (size_t i = 0; i < pins.size(); ++i) {
    const bool pollable = pins[i]->kind == PinKind::kPidfd;
    waiting.files.push_back({pollable ? pins[i]->fd.get() : -1, POLLIN, 0});
    waiting.indexes.push_back(i);
    waiting.unpollable = waiting.unpollable || !pollable;
  }
  return waiting;
}

// Moves those that have exited out of `waiting`.
Status settle(const std::vector<std::shared_ptr<Pin>>& pins, Waiting* waiting, std::vector<bool>* exited) {
  size_t kept = 0;
  waiting->unpollable = false;
  for (size_t i = 0; i < waiting->files.size(); ++i) {
    const pollfd file = waiting->files[i];
    const size_t index = waiting->indexes[i];
    if ((file.revents & POLLNVAL) != 0) return os_status("poll", EBADF);
    if (file.fd < 0 ? has_exited(*pins[index]) : (file.revents & POLLIN) != 0) {
      (*exited)[index] = true;
      continue;
    }
    waiting->unpollable = waiting->unpollable || file.fd < 0;
    waiting->files[kept] = file;
    waiting->indexes[kept++] = index;
  }
  waiting->files.resize(kept);
  waiting->indexes.resize(kept);
  return {};
}

}  // namespace

Status create_exit_watcher(ExitWatcher::Callback callback, std::unique_ptr<ExitWatcher>* watcher) {
  auto made = std::make_unique<EpollWatcher>(std::move(callback));
  const Status status = made->start();
  if (status.ok()) *watcher = std::move(made);
  return status;
}

Status wait_pins(const std::vector<std::shared_ptr<Pin>>& pins, int timeout_ms, std::vector<bool>* exited) {
  const Clock::time_point deadline = Clock::now() + std::chrono::milliseconds(std::max(timeout_ms, 0));
  exited->assign(pins.size(), false);
  Waiting waiting = wait_for_all(pins);
  int pause_ms = 0;
  while (!waiting.files.empty()) {
    const int left_ms = ms_until(deadline);
    const int limit_ms = waiting.unpollable ? std::min(left_ms, pause_ms) : left_ms;
    pause_ms = longer_pause(pause_ms);
    const int ready = poll(waiting.files.data(), waiting.files.size(), limit_ms);
    if (ready < 0 && errno == EINTR) continue;
    if (ready < 0) return os_status("poll", errno);
    const Status status = settle(pins, &waiting, exited);
    if (!status.ok()) return status;
    if (left_ms == 0) break;
  }
  return {};
}

}  // namespace pidproof
