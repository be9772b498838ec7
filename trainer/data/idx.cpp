#include "trainer/data/idx.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <fstream>
#include <iterator>
#include <memory>
#include <new>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "comm/base/error.h"
#include "trainer/data/gzip.h"

namespace lockstep {
namespace {

constexpr std::uint32_t magic_base = 0x00000800;  // plus the number of dimensions

[[noreturn]] void refuse(const std::string& name, const std::string& what) {
  throw DataError(fmt::format("{}: {}", name, what));
}

// Where a file's bytes come from, and what messages call it.
struct Origin {
  std::string name;
  std::uint64_t bytes = 0;
  ReadBytes read;
};

Origin from_file(const std::filesystem::path& path) {
  const std::string name = path.string();
  std::error_code error;
  const auto status = std::filesystem::status(path, error);
  if (!std::filesystem::exists(status)) refuse(name, "cannot be found");
  if (!std::filesystem::is_regular_file(status)) refuse(name, "is not a file");
  const std::uint64_t size = std::filesystem::file_size(path);
  errno = 0;
  const auto stream = std::make_shared<std::ifstream>(path, std::ios::binary);
  if (!*stream) refuse(name, fmt::format("cannot be opened: {}", std::generic_category().message(errno)));
  return {name, size, [name, stream](std::span<std::uint8_t> bytes) {
            stream->read(reinterpret_cast<char*>(bytes.data()), std::ssize(bytes));
            if (stream->bad()) refuse(name, "cannot be read to its end");
            return static_cast<std::size_t>(stream->gcount());
          }};
}

Origin from_memory(std::span<const std::uint8_t> file, const std::string& name) {
  return {name, file.size(), [file](std::span<std::uint8_t> bytes) mutable {
            const std::size_t found = std::min(bytes.size(), file.size());
            std::copy_n(file.begin(), found, bytes.begin());
            file = file.subspan(found);
            return found;
          }};
}

// A file's bytes, unpacked where it is a gzip file.
class Source {
 public:
  explicit Source(Origin origin) : origin_(std::move(origin)) {
    head_.resize(2);
    head_.resize(origin_.read(head_));
    if (head_ != std::vector<std::uint8_t>{0x1F, 0x8B}) return;
    gzip_.emplace([this](std::span<std::uint8_t> bytes) { return read_file(bytes); });
  }
  Source(const Source&) = delete;
  Source& operator=(const Source&) = delete;

  [[noreturn]] void fail(const std::string& what) const { refuse(origin_.name, what); }

  // Fills `bytes` as far as the file goes; the answer is how many there were.
  std::size_t read(std::span<std::uint8_t> bytes) {
    try {
      return gzip_ ? gzip_->read(bytes) : read_file(bytes);
    } catch (const GzipError& error) {
      fail(error.what());
    }
  }

  bool packed() const { return gzip_.has_value(); }
  std::uint64_t file_bytes() const { return origin_.bytes; }

 private:
  // The first bytes, which told what kind of file it is, come once more.
  std::size_t read_file(std::span<std::uint8_t> bytes) {
    const std::size_t before = std::min(head_.size(), bytes.size());
    std::copy_n(head_.begin(), before, bytes.begin());
    head_.erase(head_.begin(), head_.begin() + static_cast<std::ptrdiff_t>(before));
    return before + origin_.read(bytes.subspan(before));
  }

  Origin origin_;
  std::vector<std::uint8_t> head_;
  std::optional<GzipReader> gzip_;
};

std::uint32_t big_endian(std::span<const std::uint8_t, 4> bytes) {
  return std::uint32_t{bytes[0]} << 24U | std::uint32_t{bytes[1]} << 16U | std::uint32_t{bytes[2]} << 8U |
         std::uint32_t{bytes[3]};
}

std::uint32_t read_word(Source& source, std::string_view what) {
  std::array<std::uint8_t, 4> bytes{};
  const std::size_t found = source.read(bytes);
  if (found < bytes.size()) {
    source.fail(
        fmt::format("truncated: it ends inside its header ({} expected, 4 bytes; found {})", what, found));
  }
  return big_endian(bytes);
}

// What a kind of file is called and how it begins.
struct Kind {
  std::string_view name;
  std::uint32_t fewest_dims, most_dims;
  std::string_view magics;
};
constexpr Kind image_kind{"images", 3, 4, "0x00000803 (or 0x00000804 with a dimension of channels)"};
constexpr Kind label_kind{"labels", 1, 1, "0x00000801"};

std::string describe(std::span<const std::int64_t> dims, std::string_view name) {
  const std::string each = fmt::format("{}", fmt::join(dims.subspan(1), "x"));
  return fmt::format("{} {}{}{}", dims[0], name, each.empty() ? "" : " of ", each);
}

std::vector<std::int64_t> read_dims(Source& source, const Kind& kind) {
  const std::uint32_t magic = read_word(source, "a magic number");
  const std::uint32_t rank = magic - magic_base;
  if (rank < kind.fewest_dims || rank > kind.most_dims) {
    source.fail(
        fmt::format("starts with {:#010x}; an IDX file of {} starts with {}", magic, kind.name, kind.magics));
  }
  std::vector<std::int64_t> dims;
  for (std::uint32_t i = 0; i < rank; ++i) dims.push_back(read_word(source, "a dimension"));
  return dims;
}

// Bytes that `dims` stand for, or nothing where they are more than a file can have.
std::optional<std::uint64_t> product(std::span<const std::int64_t> dims) {
  std::int64_t bytes = 1;
  for (const std::int64_t dim : dims) {
    if (__builtin_mul_overflow(bytes, dim, &bytes)) return std::nullopt;
  }
  return static_cast<std::uint64_t>(bytes);
}

// Refuses what cannot be there before any memory is asked for.
void check_room(const Source& source, const std::string& declared, std::uint64_t expected,
                std::int64_t max_mib) {
  // Deflate unpacks one byte to at most 1032.
  constexpr std::uint64_t most_unpacked = 1032;
  const std::uint64_t file = source.file_bytes();
  if (!source.packed() && expected > file) {
    source.fail(fmt::format("truncated: expected {} bytes for {}, found {}", expected, declared, file));
  }
  if (!source.packed() && expected < file) {
    source.fail(fmt::format("expected {} bytes for {}, found {} more behind them", expected, declared,
                            file - expected));
  }
  if (source.packed() && expected / most_unpacked > file) {
    source.fail(fmt::format("truncated: expected {} bytes for {}, but {} bytes of gzip unpack to {} at most",
                            expected, declared, file, file * most_unpacked));
  }
  if (source.packed() && expected > static_cast<std::uint64_t>(max_mib) << 20U) {
    source.fail(
        fmt::format("its header declares {}, {} bytes once unpacked, and data.max_mib allows {} MiB: raise "
                    "it, or unpack the file",
                    declared, expected, max_mib));
  }
}

// Reserves all, but touches only as much as has been found.
std::vector<std::uint8_t> read_values(Source& source, std::uint64_t bytes, const std::string& declared) {
  constexpr std::uint64_t chunk = 4U << 20U;
  std::vector<std::uint8_t> values;
  try {
    values.reserve(bytes);
  } catch (const std::bad_alloc&) {
    source.fail(fmt::format("{} are {} bytes, more than this machine has memory for", declared, bytes));
  }
  while (values.size() < bytes) {
    const std::size_t done = values.size();
    values.resize(done + std::min(chunk, bytes - done));
    const std::size_t found = source.read(std::span(values).subspan(done));
    if (done + found < values.size()) {
      source.fail(fmt::format("truncated: expected {} bytes for {} (header aside), found {}", bytes, declared,
                              done + found));
    }
  }
  return values;
}

// Reading on past the end is also what makes zlib compare the checksum.
void check_end(Source& source, const std::string& declared) {
  std::array<std::uint8_t, 1> more{};
  if (source.read(more) > 0)
    source.fail(fmt::format("has more bytes than the {} that its header declares", declared));
}

struct Array {
  std::vector<std::int64_t> dims;
  std::vector<std::uint8_t> values;
};

Array read_array(Origin origin, const Kind& kind, std::int64_t max_mib) {
  Source source(std::move(origin));
  Array array{read_dims(source, kind), {}};
  const std::string declared = describe(array.dims, kind.name);
  const std::optional<std::uint64_t> bytes = product(array.dims);
  if (!bytes) source.fail(fmt::format("its header declares {}: more bytes than any file has", declared));
  if (*bytes == 0)
    source.fail(fmt::format("its header declares {}: every dimension must be at least 1", declared));
  check_room(source, declared, *bytes + 4 * (1 + array.dims.size()), max_mib);
  array.values = read_values(source, *bytes, declared);
  check_end(source, declared);
  return array;
}

ImageArray to_images(Array array) {
  const auto& dims = array.dims;
  const SampleShape shape{dims[1], dims[2], dims.size() == 4 ? dims[3] : 1};
  return {dims[0], shape, std::move(array.values)};
}

}  // namespace

ImageArray read_idx_image_file(const std::filesystem::path& path, std::int64_t max_mib) {
  return to_images(read_array(from_file(path), image_kind, max_mib));
}
std::vector<std::uint8_t> read_idx_label_file(const std::filesystem::path& path, std::int64_t max_mib) {
  return read_array(from_file(path), label_kind, max_mib).values;
}

ImageArray parse_idx_images(std::span<const std::uint8_t> file, const std::string& name,
                            std::int64_t max_mib) {
  return to_images(read_array(from_memory(file, name), image_kind, max_mib));
}
std::vector<std::uint8_t> parse_idx_labels(std::span<const std::uint8_t> file, const std::string& name,
                                           std::int64_t max_mib) {
  return read_array(from_memory(file, name), label_kind, max_mib).values;
}

}  // namespace lockstep
