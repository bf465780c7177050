// The literal comparisons of a scan filter: pure functions over bytes.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace pidproof {

// A pattern without '/' is compared with the basename; "/a/b" with the whole path; "a/b" with the
// path's last components.
bool matches_exe(std::string_view path, const std::vector<std::string>& patterns);

// `argv` and `env` are texts in which every entry is followed by NUL (a last NUL may be missing).
bool has_tokens(std::string_view argv, const std::vector<std::string>& tokens);
bool has_sequence(std::string_view argv, const std::vector<std::string>& sequence);
bool has_variable(std::string_view env, std::string_view key_or_pair);

}  // namespace pidproof
