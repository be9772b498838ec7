#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <tuple>
#include <utility>

#include "comm/base/error.h"
#include "comm/base/text.h"
#include "trainer/checkpoint/safetensors.h"
#include "trainer/checkpoint/strict_json.h"
#include "trainer/checkpoint/whole_file.h"

namespace lockstep {
namespace {

using nlohmann::json;
using Bytes = std::span<const std::byte>;

constexpr std::size_t length_bytes = sizeof(std::uint64_t);
constexpr std::uint64_t longest_header = 100'000'000;  // the format's own limit
constexpr std::size_t deepest = 3;                     // the header, a tensor, its shape
constexpr const char* metadata_key = "__metadata__";

// What is wrong with the contents; `parse` adds the file's name.
class Malformed : public std::runtime_error {
 public:
  template <class... Args>
  explicit Malformed(fmt::format_string<Args...> text, Args&&... args)
      : std::runtime_error(fmt::format(text, std::forward<Args>(args)...)) {}
};

// Names and values are the file's, whatever is in them.
std::string in_quotes(const std::string& text) {
  return fmt::format("\"{}\"", printable(text));
}
std::string shown(const json& value) {
  return printable(value.dump());
}

std::string_view header_text(Bytes contents) {
  if (contents.size() < length_bytes) {
    throw Malformed("its {} bytes are fewer than the {} that a header's length takes", contents.size(),
                    length_bytes);
  }
  std::uint64_t length = 0;
  std::memcpy(&length, contents.data(), length_bytes);
  if (length > longest_header) {
    throw Malformed("it claims a header of {} bytes, more than the format's {}", length, longest_header);
  }
  if (length > contents.size() - length_bytes) {
    throw Malformed("it is cut short: its header should have {} bytes, the whole file has {}", length,
                    contents.size());
  }
  const std::string_view text(reinterpret_cast<const char*>(contents.data()) + length_bytes, length);
  if (!text.starts_with('{')) throw Malformed("its header does not start with '{{'");
  return text;
}

json parse_header(std::string_view text) {
  try {
    return parse_strictly(text, deepest);
  } catch (const JsonError& wrong) {
    throw Malformed("its header {}", wrong.what());
  }
}

Metadata read_metadata(const json& value) {
  if (!value.is_object()) throw Malformed("its {} is no object", metadata_key);
  Metadata metadata;
  for (const auto& [key, text] : value.items()) {
    if (!text.is_string()) throw Malformed("the value of {} in its metadata is no string", in_quotes(key));
    metadata.emplace(key, text.get<std::string>());
  }
  return metadata;
}

struct Entry {
  TensorView tensor;
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
};

DType read_dtype(const std::string& tensor, const json& value) {
  if (!value.is_string()) throw Malformed("the dtype of tensor {} is no string", in_quotes(tensor));
  for (const DType dtype : {DType::f32, DType::f64, DType::i32, DType::i64, DType::u8}) {
    if (value.get_ref<const std::string&>() == safetensors_name(dtype)) return dtype;
  }
  throw Malformed("tensor {} has the dtype {}; F32, F64, I32, I64 and U8 can be read", in_quotes(tensor),
                  shown(value));
}

std::uint64_t read_whole(const std::string& tensor, const json& value) {
  if (!value.is_number_unsigned()) {
    throw Malformed("tensor {} has {} where a whole number, at least 0, belongs", in_quotes(tensor),
                    shown(value));
  }
  return value.get<std::uint64_t>();
}

Dims read_shape(const std::string& tensor, const json& value) {
  if (!value.is_array()) throw Malformed("the shape of tensor {} is no array", in_quotes(tensor));
  Dims dims;
  for (const json& size : value) {
    const std::uint64_t whole = read_whole(tensor, size);
    if (whole > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
      throw Malformed("the shape of tensor {} is too large", in_quotes(tensor));
    }
    dims.push_back(static_cast<std::int64_t>(whole));
  }
  return dims;
}

std::uint64_t bytes_of(const TensorView& tensor) {
  auto bytes = static_cast<std::int64_t>(size_of(tensor.dtype));
  for (const std::int64_t size : tensor.dims) {
    if (__builtin_mul_overflow(bytes, size, &bytes)) {
      throw Malformed("the shape {} of tensor {} is too large", printable(to_string(tensor.dims)),
                      in_quotes(tensor.name));
    }
  }
  return static_cast<std::uint64_t>(bytes);
}

Entry read_entry(const std::string& name, const json& value) {
  const bool complete = value.is_object() && value.size() == 3 && value.contains("dtype") &&
                        value.contains("shape") && value.contains("data_offsets");
  if (!complete) {
    throw Malformed("tensor {} must have dtype, shape and data_offsets, and nothing else", in_quotes(name));
  }
  const json& offsets = value["data_offsets"];
  if (!offsets.is_array() || offsets.size() != 2) {
    throw Malformed("the data_offsets of tensor {} are no pair", in_quotes(name));
  }
  Entry entry;
  entry.tensor.name = name;
  entry.tensor.dtype = read_dtype(name, value["dtype"]);
  entry.tensor.dims = read_shape(name, value["shape"]);
  entry.begin = read_whole(name, offsets[0]);
  entry.end = read_whole(name, offsets[1]);
  if (entry.begin > entry.end) throw Malformed("the data_offsets of tensor {} are reversed", in_quotes(name));
  const std::uint64_t bytes = bytes_of(entry.tensor);
  if (entry.end - entry.begin != bytes) {
    throw Malformed("tensor {} of dtype {} and shape {} takes {} bytes, its data_offsets span {}",
                    in_quotes(name), safetensors_name(entry.tensor.dtype),
                    printable(to_string(entry.tensor.dims)), bytes, entry.end - entry.begin);
  }
  return entry;
}

// Gives each tensor its bytes: all of `data`, one after another.
std::vector<TensorView> lay_out(std::vector<Entry> entries, Bytes data) {
  std::ranges::sort(entries, {}, [](const Entry& entry) {
    return std::make_tuple(entry.begin, entry.end, std::string_view(entry.tensor.name));
  });
  std::vector<TensorView> tensors;
  std::uint64_t end = 0;
  for (Entry& entry : entries) {
    if (entry.begin != end) {
      throw Malformed("tensor {} starts at {}, {} where the one before it ends ({})",
                      in_quotes(entry.tensor.name), entry.begin, entry.begin < end ? "before" : "beyond",
                      end);
    }
    if (entry.end > data.size()) {
      throw Malformed("it is cut short: tensor {} ends at {}, the file has {} bytes behind its header",
                      in_quotes(entry.tensor.name), entry.end, data.size());
    }
    entry.tensor.bytes = data.subspan(entry.begin, entry.end - entry.begin);
    end = entry.end;
    tensors.push_back(std::move(entry.tensor));
  }
  if (end != data.size()) throw Malformed("{} bytes follow its last tensor", data.size() - end);
  return tensors;
}

}  // namespace

SafetensorsFile SafetensorsFile::read(const std::filesystem::path& file) {
  FileBytes read = read_whole_file(file);
  return parse(std::move(read.contents), read.bytes, file.string());
}

SafetensorsFile SafetensorsFile::parse(Buffer contents, std::size_t bytes, const std::string& name) {
  if (bytes > contents.size()) throw std::logic_error("a file longer than its buffer");
  const Bytes all(contents.data(), bytes);
  SafetensorsFile file;
  try {
    const std::string_view text = header_text(all);
    const json header = parse_header(text);
    std::vector<Entry> entries;
    for (const auto& [key, value] : header.items()) {
      if (key == metadata_key) {
        file.metadata_ = read_metadata(value);
      } else {
        entries.push_back(read_entry(key, value));
      }
    }
    file.tensors_ = lay_out(std::move(entries), all.subspan(length_bytes + text.size()));
  } catch (const Malformed& reason) {
    throw DataError(fmt::format("{}: not a valid safetensors file: {}", name, reason.what()));
  }
  file.contents_ = std::move(contents);
  return file;
}

const TensorView* SafetensorsFile::find(std::string_view name) const {
  const auto found = std::ranges::find(tensors_, name, &TensorView::name);
  return found == tensors_.end() ? nullptr : &*found;
}

}  // namespace lockstep
