// Plain structs to JavaScript values and back. With binding.cc, exit_waits.cc and promise_worker.h the
// only place that knows Node-API.
#pragma once

#include <napi.h>

#include <memory>
#include <string>
#include <type_traits>
#include <vector>

#include "platform.h"

namespace pidproof {

// ---- results

Napi::Object success(Napi::Env env, Napi::Value value);
Napi::Object failure(Napi::Env env, const Status& status);

// ---- text: UTF-8, and bytes that are not UTF-8 as lone surrogates U+DC80–U+DCFF, one each

Napi::Value text_value(Napi::Env env, const std::string& bytes);
std::string text_bytes(const Napi::Value& value);

// ---- arguments; each throws a Napi::TypeError naming `what` when the value is not of that kind

double number_argument(const Napi::Value& value, const char* what);
int32_t int_argument(const Napi::Value& value, const char* what);
uint32_t mask_argument(const Napi::Value& value, const char* what);
uint64_t bigint_argument(const Napi::Value& value, const char* what);
ScanFilter filter_argument(const Napi::Value& value);
std::vector<Target> targets_argument(const Napi::Value& value);
std::vector<SocketHint> hints_argument(const Napi::CallbackInfo& info);

// ---- pins

Napi::Value wrap_pin(Napi::Env env, std::shared_ptr<Pin> pin);
std::shared_ptr<Pin> pin_of(const Napi::Value& value);  // throws Napi::TypeError: no pin, or closed
std::vector<std::shared_ptr<Pin>> pins_argument(const Napi::Value& value);
void close_pins(const Napi::Value& value);  // closing twice does nothing

// ---- rows

Napi::Object table_value(Napi::Env env, uint32_t fields, const ScanResult& result);
Napi::Object sockets_value(Napi::Env env, const SocketList& list);
Napi::Object holders_value(Napi::Env env, const HolderList& list);

template <typename Array, typename Rows, typename Get>
Array column(Napi::Env env, const Rows& rows, const Get& get) {
  Array array = Array::New(env, rows.size());
  auto* at = array.Data();
  for (const auto& row : rows) *at++ = static_cast<std::remove_pointer_t<decltype(at)>>(get(row));
  return array;
}

}  // namespace pidproof
