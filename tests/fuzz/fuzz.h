#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <string>
#include <string_view>
#include <vector>

// What the targets share. Each hands any bytes to one reader and lets nothing pass but what the reader's
// header promises: its own type of error. Any other exception, a sanitizer's complaint, or `require` is a
// finding.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace lockstep::fuzz {

inline std::string text_of(const std::uint8_t* data, std::size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

// The pieces between line ends, at least one.
inline std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines(1);
  for (const char c : text) {
    if (c == '\n') {
      lines.emplace_back();
    } else {
      lines.back() += c;
    }
  }
  return lines;
}

inline void require(bool truth, std::string_view what) {
  if (truth) return;
  std::cerr << "does not hold: " << what << "\n";
  std::abort();
}

}  // namespace lockstep::fuzz
