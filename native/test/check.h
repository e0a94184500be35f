// What a scenario expects: if it does not hold, the scenario has failed and is over.
#pragma once

#include <chrono>
#include <stdexcept>
#include <string>
#include <thread>

namespace culvert {

inline void Check(bool holds, const std::string& what) {
  if (!holds) throw std::runtime_error("not so: " + what);
}

template <typename A, typename B>
void CheckEqual(const A& actual, const B& expected, const std::string& what) {
  if (!(actual == expected)) {
    throw std::runtime_error(what + " is " + std::to_string(actual) + ", not " + std::to_string(expected));
  }
}

/** Asks again until `holds` does, for at most ten seconds. */
template <typename F>
void Eventually(F holds, const std::string& what) {
  auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (!holds()) {
    Check(std::chrono::steady_clock::now() < deadline, what);
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
}

}  // namespace culvert
