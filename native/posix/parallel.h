#pragma once

#include <algorithm>
#include <cstddef>
#include <new>
#include <system_error>
#include <thread>
#include <vector>

namespace pidproof {

// Splits 0…count into contiguous parts and runs body(begin, end, part) on up to one thread a core,
// the caller's among them. Parts below `least` are not worth a thread's start (30 to 100 µs).
// Calls on_start(thread, part) for every thread that was started. False when a body ran out of memory.
inline size_t parallel_parts(size_t count, size_t least) {
  const size_t cores = std::max(1u, std::thread::hardware_concurrency());
  return std::max<size_t>(1, std::min(cores, count / std::max<size_t>(1, least)));
}

template <typename Body, typename Started>
bool run_parallel(size_t count, size_t parts, const Body& body, const Started& on_start) {
  std::vector<char> failed(parts, 0);
  const auto run = [&](size_t part) {
    try {
      body(count * part / parts, count * (part + 1) / parts, part);
    } catch (const std::bad_alloc&) {
      failed[part] = 1;
    }
  };
  std::vector<std::thread> threads;
  threads.reserve(parts);
  size_t started = 1;
  for (; started < parts; ++started) {
    try {
      threads.emplace_back(run, started);
      on_start(threads.back(), started);
    } catch (const std::system_error&) {
      break;  // no more threads to be had: the caller's does the rest
    }
  }
  run(0);
  for (size_t part = started; part < parts; ++part) run(part);
  for (std::thread& thread : threads) thread.join();
  return std::none_of(failed.begin(), failed.end(), [](char flag) { return flag != 0; });
}

}  // namespace pidproof
