// Waiting for exits, seen from JavaScript: one ExitWatcher per environment, made by the first wait.
#pragma once

#include <napi.h>

namespace pidproof {

// Adds watchExit, unwatchExit and refExits to the exports.
void init_exit_waits(Napi::Env env, Napi::Object exports);

}  // namespace pidproof
