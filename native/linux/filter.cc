#include "linux/filter.h"

#include <algorithm>

namespace pidproof {

namespace {

// The entry that starts at `at`; *next is where the following one starts.
std::string_view entry_at(std::string_view text, size_t at, size_t* next) {
  const size_t end = std::min(text.find('\0', at), text.size());
  *next = end + 1;
  return text.substr(at, end - at);
}

bool has_entry(std::string_view text, std::string_view entry) {
  for (size_t at = 0, next = 0; at < text.size(); at = next) {
    if (entry_at(text, at, &next) == entry) return true;
  }
  return false;
}

bool matches_path(std::string_view path, std::string_view pattern) {
  if (pattern.empty() || path.size() < pattern.size()) return false;
  if (pattern.front() == '/') return path == pattern;
  const size_t at = path.size() - pattern.size();
  return path.substr(at) == pattern && (at == 0 || path[at - 1] == '/');
}

// Do the entries from `at` on start with the whole sequence?
bool sequence_at(std::string_view argv, size_t at, const std::vector<std::string>& sequence) {
  for (const std::string& token : sequence) {
    if (at >= argv.size()) return false;
    size_t next = 0;
    if (entry_at(argv, at, &next) != token) return false;
    at = next;
  }
  return true;
}

}  // namespace

bool matches_exe(std::string_view path, const std::vector<std::string>& patterns) {
  return std::any_of(patterns.begin(), patterns.end(),
                     [path](const std::string& pattern) { return matches_path(path, pattern); });
}

bool has_tokens(std::string_view argv, const std::vector<std::string>& tokens) {
  return std::all_of(tokens.begin(), tokens.end(), [argv](const std::string& token) { return has_entry(argv, token); });
}

bool has_sequence(std::string_view argv, const std::vector<std::string>& sequence) {
  for (size_t at = 0, next = 0; at < argv.size(); at = next) {
    if (sequence_at(argv, at, sequence)) return true;
    entry_at(argv, at, &next);
  }
  return false;
}

bool has_variable(std::string_view env, std::string_view key_or_pair) {
  // getenv() returns the first entry of a key; a later one of the same key does not count.
  const std::string_view key = key_or_pair.substr(0, key_or_pair.find('='));
  for (size_t at = 0, next = 0; at < env.size(); at = next) {
    const std::string_view entry = entry_at(env, at, &next);
    if (entry.size() > key.size() && entry[key.size()] == '=' && entry.substr(0, key.size()) == key) {
      return key.size() == key_or_pair.size() || entry == key_or_pair;
    }
  }
  return false;
}

}  // namespace pidproof
