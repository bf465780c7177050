// What JavaScript can call: arguments checked, one platform function called, its answer converted.
#include "exit_waits.h"
#include "marshal.h"
#include "platform.h"
#include "promise_worker.h"

namespace pidproof {

namespace {

// ---- one call, one answer

template <typename Value>
struct Answer {
  Status status;
  Value value{};
};

// Exports `name` (a promise) and, when wanted, `name`Sync, over the same work and conversion.
// `prepare` reads the arguments on the event loop and returns the work.
template <typename Result, typename Prepare, typename Convert>
void export_call(Napi::Env env, Napi::Object exports, const char* name, bool sync_twin, Prepare prepare,
                 Convert convert) {
  const auto start = [name, prepare, convert](const Napi::CallbackInfo& info) -> Napi::Value {
    return PromiseWorker<Result>::start(info.Env(), name, prepare(info), convert);
  };
  exports[name] = Napi::Function::New(env, start, name);
  if (!sync_twin) return;
  const std::string sync_name = std::string(name) + "Sync";
  const auto run = [prepare, convert](const Napi::CallbackInfo& info) -> Napi::Value {
    return run_now<Result>(info.Env(), prepare(info), convert);
  };
  exports[sync_name] = Napi::Function::New(env, run, sync_name);
}

template <typename Convert>
auto answer_with(Convert convert) {
  return [convert](Napi::Env env, auto& answer) -> Napi::Value {
    if (!answer.status.ok()) return failure(env, answer.status);
    return success(env, convert(env, answer.value));
  };
}

Napi::Value liveness_value(Napi::Env env, Liveness liveness) {
  return Napi::Number::New(env, static_cast<double>(liveness));
}

// ---- the observer

Napi::Value host_call(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  Host host;
  const Status status = read_host(&host);
  if (!status.ok()) return failure(env, status);
  Napi::Object value = Napi::Object::New(env);
  value["boot"] = text_value(env, host.boot);
  value["namespace"] = text_value(env, host.space);
  value["pid"] = Napi::Number::New(env, host.pid);
  value["uid"] = Napi::Number::New(env, host.uid);
  value["euid"] = Napi::Number::New(env, host.euid);
  return success(env, value);
}

Napi::Value capabilities_call(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  std::vector<Capability> capabilities;
  const Status status = read_capabilities(&capabilities);
  if (!status.ok()) return failure(env, status);
  Napi::Array list = Napi::Array::New(env, capabilities.size());
  uint32_t at = 0;
  for (const Capability& capability : capabilities) {
    Napi::Object item = Napi::Object::New(env);
    item["name"] = capability.name;
    item["available"] = Napi::Boolean::New(env, capability.available);
    item["detail"] = text_value(env, capability.detail);
    list[at++] = item;
  }
  return success(env, list);
}

// ---- processes

struct Table {
  uint32_t fields = 0;
  ScanResult result;
};

void export_reading(Napi::Env env, Napi::Object exports) {
  const auto table =
      answer_with([](Napi::Env inner, Table& value) { return table_value(inner, value.fields, value.result); });
  const auto scan = [](const Napi::CallbackInfo& info) {
    const uint32_t fields = mask_argument(info[0], "fields");
    return [fields, filter = filter_argument(info[1])](Answer<Table>* answer) {
      answer->value.fields = fields;
      answer->status = scan_processes(fields, filter, &answer->value.result);
    };
  };
  const auto read = [](const Napi::CallbackInfo& info) {
    const int32_t pid = int_argument(info[0], "pid");
    const uint32_t fields = mask_argument(info[1], "fields");
    return [pid, fields](Answer<Table>* answer) {
      answer->value.fields = fields;
      answer->value.result.rows.resize(1);
      answer->status = read_process(pid, fields, &answer->value.result.rows.front());
    };
  };
  export_call<Answer<Table>>(env, exports, "scan", true, scan, table);
  export_call<Answer<Table>>(env, exports, "readProcess", true, read, table);
}

// ---- identity, pins, signals

Target target_argument(const Napi::CallbackInfo& info) {
  Target target;
  target.pid = int_argument(info[0], "pid");
  target.start_token = bigint_argument(info[1], "startToken");
  const uint64_t unique = bigint_argument(info[2], "unique");
  if (unique != 0) target.unique = unique;
  return target;
}

struct PinAnswer {
  Status status;
  Liveness liveness = Liveness::kUnknown;
  std::shared_ptr<Pin> pin;
};
using PinAnswers = std::vector<PinAnswer>;

Napi::Value pins_value(Napi::Env env, PinAnswers& answers) {
  Napi::Array list = Napi::Array::New(env, answers.size());
  uint32_t at = 0;
  for (PinAnswer& answer : answers) {
    const Napi::HandleScope scope(env);
    Napi::Object item = answer.status.ok() ? Napi::Object::New(env) : failure(env, answer.status);
    if (answer.status.ok()) {
      item["ok"] = Napi::Boolean::New(env, true);
      item["liveness"] = liveness_value(env, answer.liveness);
      if (answer.pin) item["pin"] = wrap_pin(env, std::move(answer.pin));
    }
    list[at++] = item;
  }
  return list;
}

struct SignalAnswer {
  Status status;
  SignalReport report;
};
using SignalAnswers = std::vector<SignalAnswer>;

Napi::Value signals_value(Napi::Env env, SignalAnswers& answers) {
  Napi::Array list = Napi::Array::New(env, answers.size());
  uint32_t at = 0;
  for (const SignalAnswer& answer : answers) {
    const Napi::HandleScope scope(env);
    Napi::Object item = failure(env, answer.status);
    item["ok"] = Napi::Boolean::New(env, answer.status.ok());
    item["liveness"] = liveness_value(env, answer.report.liveness);
    item["atomic"] = Napi::Boolean::New(env, answer.report.atomic);
    list[at++] = item;
  }
  return list;
}

void export_pinning(Napi::Env env, Napi::Object exports) {
  const auto pin_each = [](auto open) {
    return [open](const Napi::CallbackInfo& info) {
      return [open, targets = targets_argument(info[0])](PinAnswers* answers) {
        answers->resize(targets.size());
        for (size_t at = 0; at < targets.size(); ++at) open(targets[at], &(*answers)[at]);
      };
    };
  };
  const auto open_one = [](const Target& target, PinAnswer* answer) {
    answer->status = open_pin(target, &answer->pin, &answer->liveness);
  };
  const auto open_group = [](const Target& target, PinAnswer* answer) {
    answer->status = open_group_pin(target, &answer->pin);
    if (answer->pin) answer->status = pin_state(*answer->pin, &answer->liveness);
  };
  export_call<PinAnswers>(env, exports, "openPins", true, pin_each(open_one), pins_value);
  export_call<PinAnswers>(env, exports, "openGroupPins", true, pin_each(open_group), pins_value);
}

void export_signalling(Napi::Env env, Napi::Object exports) {
  const auto verify = [](const Napi::CallbackInfo& info) {
    return [target = target_argument(info)](Answer<Liveness>* answer) {
      answer->status = verify_process(target, &answer->value);
    };
  };
  const auto liveness = answer_with([](Napi::Env inner, Liveness value) { return liveness_value(inner, value); });
  export_call<Answer<Liveness>>(env, exports, "verify", true, verify, liveness);

  const auto signal = [](const Napi::CallbackInfo& info) {
    const int32_t number = int_argument(info[1], "signal");
    const SignalScope scope = int_argument(info[2], "scope") == 1 ? SignalScope::kGroup : SignalScope::kProcess;
    return [number, scope, pins = pins_argument(info[0])](SignalAnswers* answers) {
      answers->resize(pins.size());
      for (size_t at = 0; at < pins.size(); ++at) {
        SignalAnswer& answer = (*answers)[at];
        answer.status = signal_pin(*pins[at], number, scope, &answer.report);
      }
    };
  };
  export_call<SignalAnswers>(env, exports, "signalPins", true, signal, signals_value);
}

Napi::Value pin_state_call(const Napi::CallbackInfo& info) {
  Liveness liveness = Liveness::kUnknown;
  const Status status = pin_state(*pin_of(info[0]), &liveness);
  return status.ok() ? success(info.Env(), liveness_value(info.Env(), liveness)) : failure(info.Env(), status);
}

Napi::Value close_pins_call(const Napi::CallbackInfo& info) {
  close_pins(info[0]);
  return info.Env().Undefined();
}

Napi::Value wait_pins_call(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  std::vector<bool> exited;
  const Status status = wait_pins(pins_argument(info[0]), int_argument(info[1], "timeoutMs"), &exited);
  if (!status.ok()) return failure(env, status);
  Napi::Array list = Napi::Array::New(env, exited.size());
  for (uint32_t at = 0; at < exited.size(); ++at) list[at] = Napi::Boolean::New(env, exited[at]);
  return success(env, list);
}

// ---- sockets

void export_sockets(Napi::Env env, Napi::Object exports) {
  const auto list = [](const Napi::CallbackInfo& info) {
    SocketQuery query;
    query.protocols = mask_argument(info[0], "protocols");
    query.states = mask_argument(info[1], "states");
    const int32_t port = int_argument(info[2], "localPort");
    if (port < 0 || port > 65535) throw Napi::TypeError::New(info.Env(), "localPort must be a port number or 0");
    if (port != 0) query.local_port = static_cast<uint16_t>(port);
    return [query](Answer<SocketList>* answer) { answer->status = list_sockets(query, &answer->value); };
  };
  export_call<Answer<SocketList>>(env, exports, "listSockets", false, list, answer_with(sockets_value));

  const auto find = [](const Napi::CallbackInfo& info) {
    return [hints = hints_argument(info)](Answer<HolderList>* answer) {
      answer->status = find_socket_holders(hints, &answer->value);
    };
  };
  export_call<Answer<HolderList>>(env, exports, "findSocketHolders", false, find, answer_with(holders_value));

  const auto own = [](const Napi::CallbackInfo& info) {
    return [pid = int_argument(info[0], "pid")](Answer<std::vector<uint64_t>>* answer) {
      answer->status = list_process_sockets(pid, &answer->value);
    };
  };
  const auto inodes = answer_with([](Napi::Env inner, std::vector<uint64_t>& value) {
    return column<Napi::BigUint64Array>(inner, value, [](uint64_t inode) { return inode; });
  });
  export_call<Answer<std::vector<uint64_t>>>(env, exports, "processSockets", false, own, inodes);
}

Napi::Object init(Napi::Env env, Napi::Object exports) {
  exports["host"] = Napi::Function::New(env, host_call, "host");
  exports["capabilities"] = Napi::Function::New(env, capabilities_call, "capabilities");
  exports["pinState"] = Napi::Function::New(env, pin_state_call, "pinState");
  exports["closePins"] = Napi::Function::New(env, close_pins_call, "closePins");
  exports["waitPinsSync"] = Napi::Function::New(env, wait_pins_call, "waitPinsSync");
  export_reading(env, exports);
  export_pinning(env, exports);
  export_signalling(env, exports);
  export_sockets(env, exports);
  init_exit_waits(env, exports);
  return exports;
}

}  // namespace

}  // namespace pidproof

static Napi::Object init_addon(Napi::Env env, Napi::Object exports) { return pidproof::init(env, exports); }
NODE_API_MODULE(NODE_GYP_MODULE_NAME, init_addon)
