#include "trainer/data/gzip.h"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <limits>
#include <new>
#include <utility>

namespace lockstep {

namespace {
constexpr std::size_t piece = 64U << 10U;
constexpr int gzip_alone = 16 + MAX_WBITS;  // not zlib's own framing
}  // namespace

struct GzipReader::State {
  State() {
    if (inflateInit2(&stream, gzip_alone) != Z_OK) throw std::bad_alloc();
  }
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() { inflateEnd(&stream); }

  z_stream stream{};
};

GzipReader::GzipReader(ReadBytes packed)
    : packed_(std::move(packed)), input_(piece), state_(std::make_unique<State>()) {}
GzipReader::~GzipReader() = default;

// Whether there is packed input.
bool GzipReader::refill() {
  z_stream& stream = state_->stream;
  if (stream.avail_in > 0) return true;
  stream.next_in = input_.data();
  stream.avail_in = static_cast<uInt>(packed_(input_));
  return stream.avail_in > 0;
}

void GzipReader::begin_next_member() {
  constexpr std::uint8_t first_byte = 0x1F;
  ended_ = !refill();
  if (ended_) return;
  if (*state_->stream.next_in != first_byte) throw GzipError("bytes that are no gzip data follow its end");
  inflateReset(&state_->stream);
}

std::size_t GzipReader::read(std::span<std::uint8_t> bytes) {
  z_stream& stream = state_->stream;
  std::size_t done = 0;
  while (done < bytes.size() && !ended_) {
    if (!refill()) throw GzipError("truncated: the gzip data ends before its checksum");
    constexpr std::size_t most = std::numeric_limits<uInt>::max();
    const auto room = static_cast<uInt>(std::min(bytes.size() - done, most));
    stream.next_out = bytes.data() + done;
    stream.avail_out = room;
    const int code = inflate(&stream, Z_NO_FLUSH);
    done += room - stream.avail_out;
    if (code == Z_MEM_ERROR) throw std::bad_alloc();
    if (code == Z_STREAM_END) {
      begin_next_member();
    } else if (code != Z_OK && code != Z_BUF_ERROR) {
      throw GzipError(
          fmt::format("corrupt gzip data ({})", stream.msg == nullptr ? "no such method" : stream.msg));
    }
  }
  return done;
}

}  // namespace lockstep
