#include "marshal.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace pidproof {

namespace {

constexpr napi_type_tag kPinTag = {0x9e1d0c5a7b3f4e21, 0xb2c84f60d7a9135e};

struct PinBox {
  std::shared_ptr<Pin> pin;
};

[[noreturn]] void reject_argument(Napi::Env env, const char* what, const char* accepted) {
  throw Napi::TypeError::New(env, std::string(what) + " must be " + accepted);
}

// Length of the UTF-8 sequence at `at` and its code point; 0 when the bytes are not UTF-8.
size_t decode_one(const std::string& bytes, size_t at, char32_t* point) {
  const auto byte = [&bytes](size_t index) { return static_cast<unsigned char>(bytes[index]); };
  const unsigned char first = byte(at);
  size_t length = 0;
  char32_t least = 0;
  if (first < 0x80) {
    *point = first;
    return 1;
  }
  if (first >= 0xc2 && first <= 0xdf) {
    length = 2, least = 0x80, *point = first & 0x1fu;
  } else if (first >= 0xe0 && first <= 0xef) {
    length = 3, least = 0x800, *point = first & 0x0fu;
  } else if (first >= 0xf0 && first <= 0xf4) {
    length = 4, least = 0x10000, *point = first & 0x07u;
  } else {
    return 0;
  }
  if (at + length > bytes.size()) return 0;
  for (size_t offset = 1; offset < length; ++offset) {
    if ((byte(at + offset) & 0xc0u) != 0x80) return 0;
    *point = (*point << 6) | (byte(at + offset) & 0x3fu);
  }
  const bool surrogate = *point >= 0xd800 && *point <= 0xdfff;
  return *point < least || *point > 0x10ffff || surrogate ? 0 : length;
}

std::u16string decode_text(const std::string& bytes) {
  std::u16string units;
  units.reserve(bytes.size());
  for (size_t at = 0; at < bytes.size();) {
    char32_t point = 0;
    const size_t length = decode_one(bytes, at, &point);
    if (length == 0) {
      units.push_back(static_cast<char16_t>(0xdc00 + static_cast<unsigned char>(bytes[at])));
      ++at;
      continue;
    }
    if (point < 0x10000) {
      units.push_back(static_cast<char16_t>(point));
    } else {
      units.push_back(static_cast<char16_t>(0xd800 + ((point - 0x10000) >> 10)));
      units.push_back(static_cast<char16_t>(0xdc00 + ((point - 0x10000) & 0x3ff)));
    }
    at += length;
  }
  return units;
}

void append_point(std::string* bytes, char32_t point) {
  const auto push = [bytes](char32_t value) { bytes->push_back(static_cast<char>(value)); };
  if (point < 0x80) {
    push(point);
  } else if (point < 0x800) {
    push(0xc0 | (point >> 6)), push(0x80 | (point & 0x3f));
  } else if (point < 0x10000) {
    push(0xe0 | (point >> 12)), push(0x80 | ((point >> 6) & 0x3f)), push(0x80 | (point & 0x3f));
  } else {
    push(0xf0 | (point >> 18)), push(0x80 | ((point >> 12) & 0x3f));
    push(0x80 | ((point >> 6) & 0x3f)), push(0x80 | (point & 0x3f));
  }
}

std::string encode_text(const std::u16string& units) {
  std::string bytes;
  bytes.reserve(units.size());
  for (size_t at = 0; at < units.size(); ++at) {
    const char16_t unit = units[at];
    const bool pair =
        unit >= 0xd800 && unit <= 0xdbff && at + 1 < units.size() && units[at + 1] >= 0xdc00 && units[at + 1] <= 0xdfff;
    if (pair) {
      append_point(&bytes, 0x10000 + ((static_cast<char32_t>(unit) - 0xd800) << 10) + (units[++at] - 0xdc00u));
    } else if (unit >= 0xdc80 && unit <= 0xdcff) {
      bytes.push_back(static_cast<char>(unit - 0xdc00));
    } else {
      append_point(&bytes, unit);
    }
  }
  return bytes;
}

template <typename Array>
Array typed_argument(const Napi::Value& value, napi_typedarray_type type, const char* what, const char* accepted) {
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != type) {
    reject_argument(value.Env(), what, accepted);
  }
  return value.As<Array>();
}

Napi::Int32Array ints_argument(const Napi::Value& value, const char* what) {
  return typed_argument<Napi::Int32Array>(value, napi_int32_array, what, "an Int32Array");
}

Napi::Uint32Array uints_argument(const Napi::Value& value, const char* what) {
  return typed_argument<Napi::Uint32Array>(value, napi_uint32_array, what, "a Uint32Array");
}

Napi::BigUint64Array bigs_argument(const Napi::Value& value, const char* what) {
  return typed_argument<Napi::BigUint64Array>(value, napi_biguint64_array, what, "a BigUint64Array");
}

template <typename Element>
std::vector<Element> to_vector(Napi::TypedArrayOf<Element> array) {
  return {array.Data(), array.Data() + array.ElementLength()};
}

std::optional<std::vector<int32_t>> optional_ints(const Napi::Object& filter, const char* name) {
  const Napi::Value value = filter.Get(name);
  if (value.IsUndefined()) return std::nullopt;
  return to_vector(ints_argument(value, name));
}

std::optional<double> optional_number(const Napi::Object& filter, const char* name) {
  const Napi::Value value = filter.Get(name);
  if (value.IsUndefined()) return std::nullopt;
  return number_argument(value, name);
}

std::vector<std::string> texts_argument(const Napi::Value& value, const char* what) {
  if (value.IsUndefined()) return {};
  if (!value.IsArray()) reject_argument(value.Env(), what, "an array of strings");
  const auto array = value.As<Napi::Array>();
  std::vector<std::string> texts;
  for (uint32_t at = 0; at < array.Length(); ++at) {
    const Napi::Value text = array[at];
    if (!text.IsString()) reject_argument(value.Env(), what, "an array of strings");
    texts.push_back(text_bytes(text));
  }
  return texts;
}

template <typename Get>
Napi::Array text_column(Napi::Env env, const std::vector<ProcessRow>& rows, const Get& get) {
  Napi::Array array = Napi::Array::New(env, rows.size());
  uint32_t at = 0;
  for (const ProcessRow& row : rows) array[at++] = text_value(env, get(row));
  return array;
}

uint64_t or_zero(const std::optional<uint64_t>& value) { return value.value_or(0); }

void set_identity_columns(Napi::Env env, uint32_t fields, const std::vector<ProcessRow>& rows, Napi::Object table) {
  table["pid"] = column<Napi::Int32Array>(env, rows, [](const ProcessRow& row) { return row.pid; });
  table["ppid"] = column<Napi::Int32Array>(env, rows, [](const ProcessRow& row) { return row.ppid; });
  table["startToken"] = column<Napi::BigUint64Array>(env, rows, [](const ProcessRow& row) { return row.start_token; });
  table["kernel"] = column<Napi::Uint8Array>(env, rows, [](const ProcessRow& row) { return row.kernel_thread; });
  table["unique"] = column<Napi::BigUint64Array>(env, rows, [](const ProcessRow& row) { return or_zero(row.unique); });
  if ((fields & kParent) == 0) return;
  table["parentStartToken"] =
      column<Napi::BigUint64Array>(env, rows, [](const ProcessRow& row) { return or_zero(row.parent_start_token); });
  table["parentUnique"] =
      column<Napi::BigUint64Array>(env, rows, [](const ProcessRow& row) { return or_zero(row.parent_unique); });
}

void set_text_columns(Napi::Env env, uint32_t fields, const std::vector<ProcessRow>& rows, Napi::Object table) {
  const auto set = [&](Field field, const char* name, const auto& get) {
    if ((fields & field) != 0) table[name] = text_column(env, rows, get);
  };
  set(kName, "name", [](const ProcessRow& row) -> const std::string& { return row.name; });
  set(kExe, "exe", [](const ProcessRow& row) -> const std::string& { return row.exe; });
  set(kArgv, "argv", [](const ProcessRow& row) -> const std::string& { return row.argv; });
  set(kEnv, "env", [](const ProcessRow& row) -> const std::string& { return row.env; });
  set(kCwd, "cwd", [](const ProcessRow& row) -> const std::string& { return row.cwd; });
  set(kUser, "user", [](const ProcessRow& row) -> const std::string& { return row.user; });
  set(kTitle, "title", [](const ProcessRow& row) -> const std::string& { return row.title; });
}

void set_number_columns(Napi::Env env, uint32_t fields, const std::vector<ProcessRow>& rows, Napi::Object table) {
  if ((fields & kExe) != 0) {
    table["exeDeleted"] = column<Napi::Uint8Array>(env, rows, [](const ProcessRow& row) { return row.exe_deleted; });
  }
  if ((fields & kUid) != 0) {
    table["uid"] = column<Napi::Uint32Array>(env, rows, [](const ProcessRow& row) { return row.uid; });
    table["euid"] = column<Napi::Uint32Array>(env, rows, [](const ProcessRow& row) { return row.euid; });
  }
  if ((fields & kState) != 0) {
    table["state"] = column<Napi::Uint8Array>(env, rows, [](const ProcessRow& row) { return row.state; });
  }
  if ((fields & kGroup) != 0) {
    table["pgid"] = column<Napi::Int32Array>(env, rows, [](const ProcessRow& row) { return row.pgid; });
    table["sid"] = column<Napi::Int32Array>(env, rows, [](const ProcessRow& row) { return row.sid; });
  }
  if ((fields & kStartedAt) != 0) {
    table["startedAtMs"] =
        column<Napi::Float64Array>(env, rows, [](const ProcessRow& row) { return row.started_at_ms; });
  }
  if ((fields & kCpu) != 0) {
    table["cpuUserMs"] = column<Napi::Float64Array>(env, rows, [](const ProcessRow& row) { return row.cpu_user_ms; });
    table["cpuSystemMs"] =
        column<Napi::Float64Array>(env, rows, [](const ProcessRow& row) { return row.cpu_system_ms; });
  }
  if ((fields & kMemory) != 0) {
    table["residentBytes"] =
        column<Napi::Float64Array>(env, rows, [](const ProcessRow& row) { return row.resident_bytes; });
    table["virtualBytes"] =
        column<Napi::Float64Array>(env, rows, [](const ProcessRow& row) { return row.virtual_bytes; });
  }
  if ((fields & kNested) != 0) {
    table["nested"] = column<Napi::Uint8Array>(env, rows, [](const ProcessRow& row) { return row.nested; });
  }
}

Napi::Uint8Array missing_value(Napi::Env env, const std::vector<ProcessRow>& rows) {
  auto array = Napi::Uint8Array::New(env, rows.size() * kFieldCount);
  uint8_t* at = array.Data();
  for (const ProcessRow& row : rows) {
    for (const Missing reason : row.missing) *at++ = static_cast<uint8_t>(reason);
  }
  return array;
}

Napi::Uint8Array addresses_value(Napi::Env env, const std::vector<SocketRow>& rows,
                                 std::array<uint8_t, 16> SocketRow::* address) {
  auto array = Napi::Uint8Array::New(env, rows.size() * 16);
  uint8_t* at = array.Data();
  for (const SocketRow& row : rows) at = std::copy((row.*address).begin(), (row.*address).end(), at);
  return array;
}

PinBox* box_of(const Napi::Value& value) {
  if (!value.IsObject()) return nullptr;
  const auto object = value.As<Napi::Object>();
  bool tagged = false;
  if (napi_check_object_type_tag(value.Env(), object, &kPinTag, &tagged) != napi_ok || !tagged) return nullptr;
  void* box = nullptr;
  return napi_unwrap(value.Env(), object, &box) == napi_ok ? static_cast<PinBox*>(box) : nullptr;
}

}  // namespace

Napi::Object success(Napi::Env env, Napi::Value value) {
  Napi::Object result = Napi::Object::New(env);
  result["ok"] = Napi::Boolean::New(env, true);
  result["value"] = value;
  return result;
}

Napi::Object failure(Napi::Env env, const Status& status) {
  Napi::Object result = Napi::Object::New(env);
  result["ok"] = Napi::Boolean::New(env, false);
  result["code"] = status.code;
  result["syscall"] = status.syscall;
  result["osError"] = Napi::Number::New(env, static_cast<double>(status.os_error));
  return result;
}

Napi::Value text_value(Napi::Env env, const std::string& bytes) {
  const bool ascii = std::none_of(bytes.begin(), bytes.end(), [](char byte) { return (byte & '\x80') != 0; });
  // As a Value: Napi::String would be converted to UTF-8 and back on its way into an array, and lose lone surrogates.
  if (!ascii) return Napi::String::New(env, decode_text(bytes));
  napi_value value = nullptr;
  if (napi_create_string_latin1(env, bytes.data(), bytes.size(), &value) != napi_ok) throw Napi::Error::New(env);
  return {env, value};
}

std::string text_bytes(const Napi::Value& value) { return encode_text(value.As<Napi::String>().Utf16Value()); }

double number_argument(const Napi::Value& value, const char* what) {
  if (!value.IsNumber()) reject_argument(value.Env(), what, "a number");
  return value.As<Napi::Number>().DoubleValue();
}

int32_t int_argument(const Napi::Value& value, const char* what) {
  const double number = value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : std::nan("");
  const bool fits = number >= std::numeric_limits<int32_t>::min() && number <= std::numeric_limits<int32_t>::max() &&
                    number == std::floor(number);
  if (!fits) reject_argument(value.Env(), what, "a 32-bit integer");
  return static_cast<int32_t>(number);
}

uint32_t mask_argument(const Napi::Value& value, const char* what) {
  return static_cast<uint32_t>(int_argument(value, what));
}

uint64_t bigint_argument(const Napi::Value& value, const char* what) {
  bool lossless = false;
  const uint64_t number = value.IsBigInt() ? value.As<Napi::BigInt>().Uint64Value(&lossless) : 0;
  if (!lossless) reject_argument(value.Env(), what, "an unsigned 64-bit bigint");
  return number;
}

ScanFilter filter_argument(const Napi::Value& value) {
  if (!value.IsObject()) reject_argument(value.Env(), "filter", "an object");
  const auto object = value.As<Napi::Object>();
  ScanFilter filter;
  filter.pids = optional_ints(object, "pids");
  filter.ppids = optional_ints(object, "ppids");
  filter.pgids = optional_ints(object, "pgids");
  filter.sids = optional_ints(object, "sids");
  const Napi::Value uids = object.Get("uids");
  if (!uids.IsUndefined()) filter.uids = to_vector(uints_argument(uids, "uids"));
  filter.exe = texts_argument(object.Get("exe"), "exe");
  filter.argv_tokens = texts_argument(object.Get("argvTokens"), "argvTokens");
  const Napi::Value sequences = object.Get("argvSequences");
  if (!sequences.IsUndefined()) {
    if (!sequences.IsArray()) reject_argument(value.Env(), "argvSequences", "an array of arrays of strings");
    const auto array = sequences.As<Napi::Array>();
    for (uint32_t at = 0; at < array.Length(); ++at) {
      filter.argv_sequences.push_back(texts_argument(array[at], "argvSequences"));
    }
  }
  filter.env = texts_argument(object.Get("env"), "env");
  filter.started_after_ms = optional_number(object, "startedAfterMs");
  filter.started_before_ms = optional_number(object, "startedBeforeMs");
  return filter;
}

std::vector<Target> targets_argument(const Napi::Value& value) {
  if (!value.IsObject()) reject_argument(value.Env(), "targets", "an object");
  const auto object = value.As<Napi::Object>();
  const auto pids = ints_argument(object.Get("pid"), "targets.pid");
  const auto tokens = bigs_argument(object.Get("startToken"), "targets.startToken");
  const auto uniques = bigs_argument(object.Get("unique"), "targets.unique");
  if (tokens.ElementLength() != pids.ElementLength() || uniques.ElementLength() != pids.ElementLength()) {
    reject_argument(value.Env(), "targets", "columns of one length");
  }
  std::vector<Target> targets(pids.ElementLength());
  for (size_t at = 0; at < targets.size(); ++at) {
    targets[at].pid = pids[at];
    targets[at].start_token = tokens[at];
    if (uniques[at] != 0) targets[at].unique = uniques[at];
  }
  return targets;
}

std::vector<SocketHint> hints_argument(const Napi::CallbackInfo& info) {
  const auto inodes = bigs_argument(info[0], "inodes");
  const auto uids = uints_argument(info[1], "uids");
  const auto cgroups = bigs_argument(info[2], "cgroups");
  if (uids.ElementLength() != inodes.ElementLength() || cgroups.ElementLength() != inodes.ElementLength()) {
    reject_argument(info.Env(), "sockets", "columns of one length");
  }
  std::vector<SocketHint> hints(inodes.ElementLength());
  for (size_t at = 0; at < hints.size(); ++at) {
    hints[at].inode = inodes[at];
    hints[at].uid = uids[at];
    if (cgroups[at] != 0) hints[at].cgroup = cgroups[at];
  }
  return hints;
}

Napi::Value wrap_pin(Napi::Env env, std::shared_ptr<Pin> pin) {
  Napi::Object object = Napi::Object::New(env);
  auto box = std::make_unique<PinBox>(PinBox{std::move(pin)});
  const auto finalize = [](napi_env, void* data, void*) { delete static_cast<PinBox*>(data); };
  if (napi_wrap(env, object, box.get(), finalize, nullptr, nullptr) != napi_ok) throw Napi::Error::New(env);
  box.release();  // NOLINT(bugprone-unused-return-value): owned by the object now
  if (napi_type_tag_object(env, object, &kPinTag) != napi_ok) throw Napi::Error::New(env);
  return object;
}

std::shared_ptr<Pin> pin_of(const Napi::Value& value) {
  const PinBox* box = box_of(value);
  if (box == nullptr || !box->pin) reject_argument(value.Env(), "pin", "an open pin");
  return box->pin;
}

std::vector<std::shared_ptr<Pin>> pins_argument(const Napi::Value& value) {
  if (!value.IsArray()) reject_argument(value.Env(), "pins", "an array of pins");
  const auto array = value.As<Napi::Array>();
  std::vector<std::shared_ptr<Pin>> pins;
  pins.reserve(array.Length());
  for (uint32_t at = 0; at < array.Length(); ++at) {
    const Napi::HandleScope scope(value.Env());
    pins.push_back(pin_of(array[at]));
  }
  return pins;
}

void close_pins(const Napi::Value& value) {
  if (!value.IsArray()) reject_argument(value.Env(), "pins", "an array of pins");
  const auto array = value.As<Napi::Array>();
  for (uint32_t at = 0; at < array.Length(); ++at) {
    const Napi::HandleScope scope(value.Env());
    PinBox* box = box_of(array[at]);
    if (box == nullptr) reject_argument(value.Env(), "pins", "an array of pins");
    box->pin.reset();
  }
}

Napi::Object table_value(Napi::Env env, uint32_t fields, const ScanResult& result) {
  Napi::Object table = Napi::Object::New(env);
  table["count"] = Napi::Number::New(env, static_cast<double>(result.rows.size()));
  set_identity_columns(env, fields, result.rows, table);
  set_text_columns(env, fields, result.rows, table);
  set_number_columns(env, fields, result.rows, table);
  table["missing"] = missing_value(env, result.rows);
  table["undecided"] = column<Napi::Int32Array>(env, result.undecided, [](int32_t pid) { return pid; });
  table["partial"] = Napi::Boolean::New(env, result.partial);
  return table;
}

Napi::Object sockets_value(Napi::Env env, const SocketList& list) {
  const std::vector<SocketRow>& rows = list.rows;
  Napi::Object table = Napi::Object::New(env);
  table["count"] = Napi::Number::New(env, static_cast<double>(rows.size()));
  table["protocol"] = column<Napi::Uint8Array>(env, rows, [](const SocketRow& row) { return row.protocol; });
  table["state"] = column<Napi::Uint8Array>(env, rows, [](const SocketRow& row) { return row.state; });
  table["localAddress"] = addresses_value(env, rows, &SocketRow::local_address);
  table["remoteAddress"] = addresses_value(env, rows, &SocketRow::remote_address);
  table["localPort"] = column<Napi::Uint16Array>(env, rows, [](const SocketRow& row) { return row.local_port; });
  table["remotePort"] = column<Napi::Uint16Array>(env, rows, [](const SocketRow& row) { return row.remote_port; });
  table["scopeId"] = column<Napi::Uint32Array>(env, rows, [](const SocketRow& row) { return row.scope_id; });
  constexpr uint8_t kNotKnown = 2;
  table["v6Only"] = column<Napi::Uint8Array>(
      env, rows, [](const SocketRow& row) { return row.v6_only ? static_cast<uint8_t>(*row.v6_only) : kNotKnown; });
  table["uid"] = column<Napi::Uint32Array>(env, rows, [](const SocketRow& row) { return row.uid; });
  table["inode"] = column<Napi::BigUint64Array>(env, rows, [](const SocketRow& row) { return row.inode; });
  table["cgroup"] = column<Napi::BigUint64Array>(env, rows, [](const SocketRow& row) { return or_zero(row.cgroup); });
  Napi::Array paths = Napi::Array::New(env, rows.size());
  for (uint32_t at = 0; at < rows.size(); ++at) paths[at] = text_value(env, rows[at].path);
  table["path"] = paths;
  table["boundVisible"] = Napi::Boolean::New(env, list.bound_visible);
  return table;
}

Napi::Object holders_value(Napi::Env env, const HolderList& list) {
  const std::vector<SocketHolder>& rows = list.holders;
  Napi::Object table = Napi::Object::New(env);
  table["count"] = Napi::Number::New(env, static_cast<double>(rows.size()));
  table["inode"] = column<Napi::BigUint64Array>(env, rows, [](const SocketHolder& row) { return row.inode; });
  table["pid"] = column<Napi::Int32Array>(env, rows, [](const SocketHolder& row) { return row.process.pid; });
  table["ppid"] = column<Napi::Int32Array>(env, rows, [](const SocketHolder& row) { return row.ppid; });
  table["startToken"] =
      column<Napi::BigUint64Array>(env, rows, [](const SocketHolder& row) { return row.process.start_token; });
  table["unique"] =
      column<Napi::BigUint64Array>(env, rows, [](const SocketHolder& row) { return or_zero(row.process.unique); });
  table["unseen"] = Napi::Number::New(env, list.unseen);
  return table;
}

}  // namespace pidproof
