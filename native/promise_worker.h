// The asynchronous machinery, once: work on the thread pool, a promise for JavaScript.
#pragma once

#include <napi.h>

#include <functional>
#include <utility>

namespace pidproof {

// `work` runs off the event loop and fills *Result; `convert` turns it into a value on the loop.
// A work that throws (out of memory) rejects; what the operating system says never does.
template <typename Result>
class PromiseWorker : public Napi::AsyncWorker {
 public:
  using Work = std::function<void(Result*)>;
  using Convert = std::function<Napi::Value(Napi::Env, Result&)>;

  static Napi::Promise start(Napi::Env env, const char* name, Work work, Convert convert) {
    auto* worker = new PromiseWorker(env, name, std::move(work), std::move(convert));
    const Napi::Promise promise = worker->deferred_.Promise();
    worker->Queue();
    return promise;
  }

 protected:
  void Execute() override { work_(&result_); }
  void OnOK() override { deferred_.Resolve(convert_(Env(), result_)); }
  void OnError(const Napi::Error& error) override { deferred_.Reject(error.Value()); }

 private:
  PromiseWorker(Napi::Env env, const char* name, Work work, Convert convert)
      : Napi::AsyncWorker(env, name),
        work_(std::move(work)),
        convert_(std::move(convert)),
        deferred_(Napi::Promise::Deferred::New(env)) {}

  Work work_;
  Convert convert_;
  Napi::Promise::Deferred deferred_;
  Result result_{};
};

// The same two halves at once, for the synchronous twin.
template <typename Result>
Napi::Value run_now(Napi::Env env, const typename PromiseWorker<Result>::Work& work,
                    const typename PromiseWorker<Result>::Convert& convert) {
  Result result{};
  work(&result);
  return convert(env, result);
}

}  // namespace pidproof
