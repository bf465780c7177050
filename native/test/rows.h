// Socket rows as text, so that a comparison that fails shows both sides.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "platform.h"

namespace pidproof_test {

inline std::string hex(const uint8_t* bytes, size_t count) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  for (size_t at = 0; at < count; ++at) {
    text += kDigits[bytes[at] >> 4];
    text += kDigits[bytes[at] & 15];
  }
  return text;
}

// "<state> <local>:<port> <remote>:<port> uid=<uid> <inode>"
inline std::string text_of(const pidproof::SocketRow& row) {
  const bool v6 = row.protocol == pidproof::kTcp6 || row.protocol == pidproof::kUdp6;
  const size_t length = v6 ? 16 : 4;
  return std::to_string(static_cast<int>(row.state)) + " " + hex(row.local_address.data(), length) + ":" +
         std::to_string(row.local_port) + " " + hex(row.remote_address.data(), length) + ":" +
         std::to_string(row.remote_port) + " uid=" + std::to_string(row.uid) + " " + std::to_string(row.inode);
}

inline std::vector<std::string> sorted_texts(const std::vector<pidproof::SocketRow>& rows) {
  std::vector<std::string> texts;
  texts.reserve(rows.size());
  for (const pidproof::SocketRow& row : rows) texts.push_back(text_of(row));
  std::sort(texts.begin(), texts.end());
  return texts;
}

inline std::string joined(const std::vector<std::string>& texts) {
  std::string all;
  for (const std::string& text : texts) all += "\n  " + text;
  return all;
}

// The row with that inode; an empty one where there is none.
inline pidproof::SocketRow row_with(const std::vector<pidproof::SocketRow>& rows, uint64_t inode) {
  const auto has_inode = [inode](const pidproof::SocketRow& row) { return row.inode == inode; };
  const auto found = std::find_if(rows.begin(), rows.end(), has_inode);
  return found == rows.end() ? pidproof::SocketRow{} : *found;
}

}  // namespace pidproof_test
