#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>
#include <nlohmann/json.hpp>
#include <set>
#include <stdexcept>
#include <tuple>

#include "trainer/checkpoint/atomic_file.h"
#include "trainer/checkpoint/safetensors.h"

namespace lockstep {
namespace {

static_assert(std::endian::native == std::endian::little, "the format is little-endian");

std::string in_quotes(const std::string& text) {
  return nlohmann::json(text).dump();
}

void check(std::span<const TensorView> tensors) {
  std::set<std::string_view> names{"__metadata__"};
  for (const TensorView& tensor : tensors) {
    if (!names.insert(tensor.name).second) {
      throw std::logic_error(fmt::format("two tensors of a file are called '{}'", tensor.name));
    }
    if (tensor.bytes.size() != static_cast<std::size_t>(elements(tensor.dims)) * size_of(tensor.dtype)) {
      throw std::logic_error(fmt::format("tensor '{}' of shape {} has {} bytes", tensor.name,
                                         to_string(tensor.dims), tensor.bytes.size()));
    }
  }
}

// In the order of the file. Falling alignment keeps every tensor aligned without a gap.
std::vector<const TensorView*> in_file_order(std::span<const TensorView> tensors) {
  std::vector<const TensorView*> order;
  for (const TensorView& tensor : tensors) order.push_back(&tensor);
  std::ranges::sort(order, [](const TensorView* a, const TensorView* b) {
    return std::make_tuple(size_of(b->dtype), std::string_view(a->name)) <
           std::make_tuple(size_of(a->dtype), std::string_view(b->name));
  });
  return order;
}

std::string metadata_json(const Metadata& metadata) {
  std::string text = "{";
  for (const auto& [key, value] : metadata) {
    text += fmt::format("{}{}:{}", text.size() == 1 ? "" : ",", in_quotes(key), in_quotes(value));
  }
  return text + "}";
}

}  // namespace

std::string_view safetensors_name(DType dtype) {
  switch (dtype) {
    case DType::u8:
      return "U8";
    case DType::i32:
      return "I32";
    case DType::i64:
      return "I64";
    case DType::f32:
      return "F32";
    case DType::f64:
      return "F64";
  }
  throw std::logic_error("unknown dtype");
}

std::string safetensors_header(std::span<const TensorView> tensors, const Metadata& metadata) {
  check(tensors);
  std::vector<std::string> entries;
  if (!metadata.empty()) entries.push_back("\"__metadata__\":" + metadata_json(metadata));
  std::size_t begin = 0;
  for (const TensorView* tensor : in_file_order(tensors)) {
    const std::size_t end = begin + tensor->bytes.size();
    entries.push_back(fmt::format(R"({}:{{"dtype":"{}","shape":[{}],"data_offsets":[{},{}]}})",
                                  in_quotes(tensor->name), safetensors_name(tensor->dtype),
                                  fmt::join(tensor->dims, ","), begin, end));
    begin = end;
  }
  std::string json = fmt::format("{{{}}}", fmt::join(entries, ","));
  json.append((8 - json.size() % 8) % 8, ' ');

  const std::uint64_t length = json.size();
  std::string header(sizeof length, '\0');
  std::memcpy(header.data(), &length, sizeof length);
  return header + json;
}

void write_safetensors(const std::filesystem::path& file, std::span<const TensorView> tensors,
                       const Metadata& metadata) {
  const std::string header = safetensors_header(tensors, metadata);
  AtomicFile output(file);
  output.write(header);
  for (const TensorView* tensor : in_file_order(tensors)) output.write(tensor->bytes);
  output.commit();
}

}  // namespace lockstep
