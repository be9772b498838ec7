#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <stdexcept>
#include <vector>

namespace lockstep {

// Fills `bytes` as far as there are any more; the answer is how many there were.
using ReadBytes = std::function<std::size_t(std::span<std::uint8_t> bytes)>;

// What is wrong with packed bytes.
class GzipError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Unpacks what `packed` brings: one or more gzip members (RFC 1952), whose contents follow one another.
// Zlib's own gzread would pass over what stands behind them and is none.
class GzipReader {
 public:
  explicit GzipReader(ReadBytes packed);
  ~GzipReader();

  // As ReadBytes has it. Throws GzipError where the bytes are corrupt, cut short or followed by others; a
  // checksum is only compared by reading past the end.
  std::size_t read(std::span<std::uint8_t> bytes);

 private:
  struct State;
  bool refill();
  void begin_next_member();

  ReadBytes packed_;
  std::vector<std::uint8_t> input_;
  std::unique_ptr<State> state_;
  bool ended_ = false;
};

}  // namespace lockstep
