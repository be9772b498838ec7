#include "trainer/data/idx.h"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>
#include <new>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>

#include "comm/base/error.h"

namespace lockstep {
namespace {

constexpr std::uint32_t magic_base = 0x00000800;  // plus the number of dimensions

// A file's bytes, unpacked where it is a gzip file.
class Source {
 public:
  explicit Source(const std::filesystem::path& path) : path_(path) {
    std::error_code error;
    const auto status = std::filesystem::status(path, error);
    if (!std::filesystem::exists(status)) fail("cannot be found");
    if (!std::filesystem::is_regular_file(status)) fail("is not a file");
    file_bytes_ = std::filesystem::file_size(path);
    errno = 0;
    file_.reset(gzopen(path.c_str(), "rb"));
    if (!file_) fail(fmt::format("cannot be opened: {}", std::generic_category().message(errno)));
    gzbuffer(file_.get(), 1U << 18U);
  }

  [[noreturn]] void fail(const std::string& what) const {
    throw DataError(fmt::format("{}: {}", path_.string(), what));
  }

  // Fills `bytes` as far as the file goes; the answer is how many there were.
  std::size_t read(std::span<std::uint8_t> bytes) {
    const int found = gzread(file_.get(), bytes.data(), static_cast<unsigned>(bytes.size()));
    if (found < 0) {
      int code = Z_OK;
      const std::string_view reason = gzerror(file_.get(), &code);
      if (code == Z_ERRNO) fail(fmt::format("cannot be read: {}", std::generic_category().message(errno)));
      fail(fmt::format("corrupt gzip data ({})", reason));
    }
    return static_cast<std::size_t>(found);
  }

  bool packed() const { return gzdirect(file_.get()) == 0; }
  std::uint64_t file_bytes() const { return file_bytes_; }

  // The gzip stream ended before its own end mark.
  bool cut_short() const {
    int code = Z_OK;
    gzerror(file_.get(), &code);
    return code == Z_BUF_ERROR;
  }

 private:
  struct Close {
    void operator()(gzFile_s* file) const { gzclose(file); }
  };
  std::filesystem::path path_;
  std::uint64_t file_bytes_ = 0;
  std::unique_ptr<gzFile_s, Close> file_;
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
void check_room(const Source& source, const std::string& declared, std::uint64_t expected) {
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
  if (source.cut_short()) source.fail("truncated: the gzip data ends before its checksum");
}

struct Array {
  std::vector<std::int64_t> dims;
  std::vector<std::uint8_t> values;
};

Array read_array(const std::filesystem::path& path, const Kind& kind) {
  Source source(path);
  Array array{read_dims(source, kind), {}};
  const std::string declared = describe(array.dims, kind.name);
  const std::optional<std::uint64_t> bytes = product(array.dims);
  if (!bytes) source.fail(fmt::format("its header declares {}: more bytes than any file has", declared));
  if (*bytes == 0)
    source.fail(fmt::format("its header declares {}: every dimension must be at least 1", declared));
  check_room(source, declared, *bytes + 4 * (1 + array.dims.size()));
  array.values = read_values(source, *bytes, declared);
  check_end(source, declared);
  return array;
}

}  // namespace

IdxImages read_idx_image_file(const std::filesystem::path& path) {
  Array array = read_array(path, image_kind);
  const auto& dims = array.dims;
  const SampleShape shape{dims[1], dims[2], dims.size() == 4 ? dims[3] : 1};
  return {dims[0], shape, std::move(array.values)};
}

std::vector<std::uint8_t> read_idx_label_file(const std::filesystem::path& path) {
  return read_array(path, label_kind).values;
}

}  // namespace lockstep
