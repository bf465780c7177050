#pragma once

#include <cstdint>
#include <string>

namespace pidproof {

// The login name of a user id; empty when the user database has none (getpwuid_r).
std::string user_name(uint32_t uid);

}  // namespace pidproof
