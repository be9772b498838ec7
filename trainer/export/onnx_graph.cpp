#include "trainer/export/onnx_graph.h"

#include <fmt/format.h>

#include <bit>
#include <limits>
#include <type_traits>

#include "comm/base/error.h"
#include "trainer/export/onnx_fields.h"

namespace lockstep {
namespace {

static_assert(std::endian::native == std::endian::little, "raw_data is little-endian");

std::string_view raw(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

ProtobufMessage tensor(const std::string& name, const Dims& dims, int type,
                       std::span<const std::byte> bytes) {
  ProtobufMessage message;
  for (const std::int64_t dim : dims) message.integer(onnx::tensor::dims, dim);
  message.integer(onnx::tensor::data_type, type);
  message.bytes(onnx::tensor::name, name);
  message.bytes(onnx::tensor::raw_data, raw(bytes));
  return message;
}

ProtobufMessage attribute(const std::string& name, const OnnxNode::Attribute& value) {
  ProtobufMessage message;
  message.bytes(onnx::attribute::name, name);
  if (const auto* const whole = std::get_if<std::int64_t>(&value)) {
    message.integer(onnx::attribute::i, *whole);
    message.integer(onnx::attribute::type, onnx::attribute::type_int);
  } else if (const auto* const real = std::get_if<float>(&value)) {
    message.real(onnx::attribute::f, *real);
    message.integer(onnx::attribute::type, onnx::attribute::type_float);
  } else {
    for (const std::int64_t each : std::get<std::vector<std::int64_t>>(value)) {
      message.integer(onnx::attribute::ints, each);
    }
    message.integer(onnx::attribute::type, onnx::attribute::type_ints);
  }
  return message;
}

ProtobufMessage encode(const OnnxNode& node) {
  ProtobufMessage message;
  for (const std::string& input : node.inputs) message.bytes(onnx::node::input, input);
  message.bytes(onnx::node::output, node.output);
  message.bytes(onnx::node::name, node.name);
  message.bytes(onnx::node::op_type, node.op);
  for (const auto& [name, value] : node.attributes) {
    message.message(onnx::node::attribute, attribute(name, value));
  }
  return message;
}

ProtobufMessage value_info(const std::string& name, const Dims& dims, const std::string& meaning) {
  ProtobufMessage batch;
  batch.bytes(onnx::shape::dim_param, "batch");
  ProtobufMessage shape;
  shape.message(onnx::shape::dim, batch);
  for (const std::int64_t dim : dims) {
    ProtobufMessage size;
    size.integer(onnx::shape::dim_value, dim);
    shape.message(onnx::shape::dim, size);
  }
  ProtobufMessage tensor_type;
  tensor_type.integer(onnx::type::elem_type, onnx::tensor::type_float);
  tensor_type.message(onnx::type::shape, shape);
  ProtobufMessage type;
  type.message(onnx::type::tensor_type, tensor_type);
  ProtobufMessage message;
  message.bytes(onnx::value_info::name, name);
  message.message(onnx::value_info::type, type);
  message.bytes(onnx::value_info::doc_string, meaning);
  return message;
}

ProtobufMessage entry(const std::string& key, const std::string& value) {
  ProtobufMessage message;
  message.bytes(onnx::entry::key, key);
  message.bytes(onnx::entry::value, value);
  return message;
}

}  // namespace

void OnnxGraph::constant(const std::string& name, const Dims& dims, std::span<const float> values) {
  constants_.message(onnx::graph::initializer,
                     tensor(name, dims, onnx::tensor::type_float, std::as_bytes(values)));
  check_onnx_size(constants_.encoded().size());
}

void OnnxGraph::constant(const std::string& name, std::span<const std::int64_t> values) {
  constants_.message(onnx::graph::initializer, tensor(name, {static_cast<std::int64_t>(values.size())},
                                                      onnx::tensor::type_int64, std::as_bytes(values)));
}

void OnnxGraph::input(const std::string& name, const Dims& dims, const std::string& meaning) {
  ends_.message(onnx::graph::input, value_info(name, dims, meaning));
}

void OnnxGraph::output(const std::string& name, const Dims& dims, const std::string& meaning) {
  ends_.message(onnx::graph::output, value_info(name, dims, meaning));
}

std::string OnnxGraph::file(const std::string& name,
                            const std::map<std::string, std::string>& metadata) const {
  ProtobufMessage before;
  for (const OnnxNode& node : nodes_) before.message(onnx::graph::node, encode(node));
  before.bytes(onnx::graph::name, name);

  ProtobufMessage operators;
  operators.integer(onnx::operator_set_id::version, onnx::operator_set);
  ProtobufMessage model;
  model.integer(onnx::model::ir_version, onnx::ir_version);
  model.bytes(onnx::model::producer_name, "lockstep");
  model.bytes(onnx::model::graph, before.encoded() + constants_.encoded() + ends_.encoded());
  model.message(onnx::model::opset_import, operators);
  for (const auto& [key, value] : metadata) model.message(onnx::model::metadata_props, entry(key, value));
  check_onnx_size(model.encoded().size());
  return model.encoded();
}

void check_onnx_size(std::uint64_t bytes) {
  constexpr std::uint64_t most = std::numeric_limits<std::int32_t>::max();
  if (bytes <= most) return;
  throw UsageError("the model is larger than 2 GiB, which is the most that a file of ONNX can hold");
}

}  // namespace lockstep
