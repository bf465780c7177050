#include "exit_waits.h"

#include <memory>
#include <mutex>
#include <unordered_map>
#include <utility>
#include <vector>

#include "marshal.h"
#include "platform.h"

namespace pidproof {

namespace {

constexpr double kLastId = 9007199254740991.0;  // JavaScript counts exactly up to here

// The waits of one environment. Everything but `post` runs on its JavaScript thread.
//
// Three owners: the exported functions, the environment's cleanup hook, and the thread-safe function.
// Node runs cleanup hooks in reverse order of registration, and the thread-safe function registers one
// of its own when it is made. Ours is registered after that, hence runs first: it joins the watcher's
// thread while the thread-safe function still exists, so that none calls into a dead one.
class ExitWaits : public std::enable_shared_from_this<ExitWaits> {
 public:
  Napi::Value watch(const Napi::CallbackInfo& info);
  void unwatch(Napi::Env env, uint64_t id);
  void keep_alive(Napi::Env env, bool keep);

 private:
  struct Notice {
    uint64_t id;
    ExitNotice exit;
  };
  using Owner = std::shared_ptr<ExitWaits>;
  struct Hook {
    Owner waits;
    napi_env env;
  };

  Status start(Napi::Env env);
  bool make_function(napi_env env);
  void stop(napi_env env);
  void post(uint64_t id, const ExitNotice& exit);
  void deliver(napi_env env);
  bool call(napi_env env, const Notice& notice);
  void forget(napi_env env, uint64_t id);
  void update_ref(napi_env env);

  static void on_call(napi_env env, napi_value, void* waits, void*);
  static void on_cleanup(void* hook);
  static void on_finalize(napi_env env, void* owner, void*);

  std::unique_ptr<ExitWatcher> watcher_;
  napi_threadsafe_function function_ = nullptr;
  std::unordered_map<uint64_t, napi_ref> callbacks_;
  uint64_t last_id_ = 0;
  bool keep_alive_ = false;
  bool referenced_ = false;
  bool stopped_ = false;

  std::mutex mutex_;  // guards the notices
  std::vector<Notice> notices_;
};

Napi::Value ExitWaits::watch(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  std::shared_ptr<Pin> pin = pin_of(info[0]);
  if (!info[1].IsFunction()) throw Napi::TypeError::New(env, "callback must be a function");
  Status status = start(env);
  if (!status.ok()) return failure(env, status);
  napi_ref callback = nullptr;
  NAPI_THROW_IF_FAILED(env, napi_create_reference(env, info[1], 1, &callback), Napi::Value());
  const uint64_t id = ++last_id_;
  callbacks_.emplace(id, callback);
  status = watcher_->add(id, std::move(pin));
  if (!status.ok()) {
    forget(env, id);
    return failure(env, status);
  }
  update_ref(env);
  return success(env, Napi::Number::New(env, static_cast<double>(id)));
}

void ExitWaits::unwatch(Napi::Env env, uint64_t id) {
  if (callbacks_.count(id) == 0) return;
  watcher_->remove(id);
  forget(env, id);
  update_ref(env);
}

void ExitWaits::keep_alive(Napi::Env env, bool keep) {
  keep_alive_ = keep;
  update_ref(env);
}

Status ExitWaits::start(Napi::Env env) {
  if (watcher_) return {};
  if (stopped_) return {"ECANCELED", "", 0};
  std::unique_ptr<ExitWatcher> watcher;
  const Status status = create_exit_watcher([this](uint64_t id, const ExitNotice& exit) { post(id, exit); }, &watcher);
  if (!status.ok()) return status;
  if (!make_function(env)) throw Napi::Error::New(env);
  watcher_ = std::move(watcher);
  auto hook = std::make_unique<Hook>(Hook{shared_from_this(), env});
  NAPI_THROW_IF_FAILED(env, napi_add_env_cleanup_hook(env, on_cleanup, hook.get()), Status{});
  static_cast<void>(hook.release());
  return {};
}

bool ExitWaits::make_function(napi_env env) {
  auto owner = std::make_unique<Owner>(shared_from_this());
  napi_value name = nullptr;
  if (napi_create_string_utf8(env, "pidproof exits", NAPI_AUTO_LENGTH, &name) != napi_ok ||
      napi_create_threadsafe_function(env, nullptr, nullptr, name, 0, 1, owner.get(), on_finalize, this, on_call,
                                      &function_) != napi_ok) {
    return false;
  }
  static_cast<void>(owner.release());
  return napi_unref_threadsafe_function(env, function_) == napi_ok;
}

// Deleting the watcher joins its thread; only then may the thread-safe function go.
void ExitWaits::stop(napi_env env) {
  stopped_ = true;
  watcher_.reset();
  for (const auto& [id, callback] : callbacks_) napi_delete_reference(env, callback);
  callbacks_.clear();
  if (function_ != nullptr) napi_release_threadsafe_function(std::exchange(function_, nullptr), napi_tsfn_abort);
}

// On the watcher's thread. Wakes JavaScript for the first of a batch; the others find it on its way.
void ExitWaits::post(uint64_t id, const ExitNotice& exit) {
  bool first = false;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    first = notices_.empty();
    notices_.push_back({id, exit});
  }
  if (first) napi_call_threadsafe_function(function_, nullptr, napi_tsfn_nonblocking);
}

void ExitWaits::deliver(napi_env env) {
  std::vector<Notice> notices;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    notices.swap(notices_);
  }
  for (const Notice& notice : notices) {
    if (!call(env, notice)) break;
  }
  update_ref(env);
}

// In plain C: while a worker is being terminated every call fails, and an exception of node-addon-api
// would have to pass through Node's own frames. False: JavaScript can no longer run here.
bool ExitWaits::call(napi_env env, const Notice& notice) {
  const auto found = callbacks_.find(notice.id);
  if (found == callbacks_.end()) return true;  // unwatched meanwhile
  napi_handle_scope scope = nullptr;
  if (napi_open_handle_scope(env, &scope) != napi_ok) return false;
  napi_value callback = nullptr, exit = nullptr, undefined = nullptr, number = nullptr;
  bool called = napi_get_reference_value(env, found->second, &callback) == napi_ok &&
                napi_create_object(env, &exit) == napi_ok && napi_get_undefined(env, &undefined) == napi_ok;
  forget(env, notice.id);
  if (called && notice.exit.exit_code) {
    called = napi_create_int32(env, *notice.exit.exit_code, &number) == napi_ok &&
             napi_set_named_property(env, exit, "exitCode", number) == napi_ok;
  }
  if (called && notice.exit.signal) {
    called = napi_create_int32(env, *notice.exit.signal, &number) == napi_ok &&
             napi_set_named_property(env, exit, "signal", number) == napi_ok;
  }
  if (called && napi_call_function(env, undefined, callback, 1, &exit, nullptr) != napi_ok) {
    napi_value error = nullptr;
    called = napi_get_and_clear_last_exception(env, &error) == napi_ok && napi_fatal_exception(env, error) == napi_ok;
  }
  napi_close_handle_scope(env, scope);
  return called;
}

void ExitWaits::forget(napi_env env, uint64_t id) {
  const auto found = callbacks_.find(id);
  napi_delete_reference(env, found->second);
  callbacks_.erase(found);
}

void ExitWaits::update_ref(napi_env env) {
  const bool wanted = keep_alive_ && !callbacks_.empty();
  if (function_ == nullptr || wanted == referenced_) return;
  referenced_ = wanted;
  if (wanted) {
    napi_ref_threadsafe_function(env, function_);
  } else {
    napi_unref_threadsafe_function(env, function_);
  }
}

void ExitWaits::on_call(napi_env env, napi_value, void* waits, void*) {
  // Without an environment the queue is only being emptied, after on_finalize.
  if (env != nullptr) static_cast<ExitWaits*>(waits)->deliver(env);
}

void ExitWaits::on_cleanup(void* hook) {
  const std::unique_ptr<Hook> ended(static_cast<Hook*>(hook));
  ended->waits->stop(ended->env);
}

// Normally after on_cleanup, with nothing left to do. A runtime that ends the function first must not
// find it used again.
void ExitWaits::on_finalize(napi_env env, void* owner, void*) {
  const std::unique_ptr<Owner> ended(static_cast<Owner*>(owner));
  (*ended)->function_ = nullptr;
  (*ended)->stop(env);
}

}  // namespace

void init_exit_waits(Napi::Env env, Napi::Object exports) {
  const auto waits = std::make_shared<ExitWaits>();
  const auto add = [env, &exports](const char* name, auto function) {
    exports.Set(name, Napi::Function::New(env, std::move(function), name));
  };
  add("watchExit", [waits](const Napi::CallbackInfo& info) { return waits->watch(info); });
  add("unwatchExit", [waits](const Napi::CallbackInfo& info) {
    const double id = number_argument(info[0], "id");
    if (id >= 1 && id <= kLastId) waits->unwatch(info.Env(), static_cast<uint64_t>(id));
  });
  add("refExits", [waits](const Napi::CallbackInfo& info) {
    if (!info[0].IsBoolean()) throw Napi::TypeError::New(info.Env(), "keepAlive must be a boolean");
    waits->keep_alive(info.Env(), info[0].As<Napi::Boolean>().Value());
  });
}

}  // namespace pidproof
