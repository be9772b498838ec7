#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "layers/tensor/shape.h"
#include "trainer/encoding/protobuf.h"

namespace lockstep {

// A node of an ONNX graph with its one output.
struct OnnxNode {
  using Attribute = std::variant<std::int64_t, float, std::vector<std::int64_t>>;

  std::string op;    // "Conv"
  std::string name;  // of the layer it stands for
  std::vector<std::string> inputs;
  std::string output;
  std::vector<std::pair<std::string, Attribute>> attributes;
};

// A graph of ONNX as it comes into being.
class OnnxGraph {
 public:
  void add(OnnxNode node) { nodes_.push_back(std::move(node)); }
  // The last node's output gets this name.
  void rename_output(const std::string& name) { nodes_.back().output = name; }
  // Constants. A name is used once.
  void constant(const std::string& name, const Dims& dims, std::span<const float> values);
  void constant(const std::string& name, std::span<const std::int64_t> values);
  // What goes in and what comes out: fp32, with any number of samples in front of `dims`.
  void input(const std::string& name, const Dims& dims, const std::string& meaning);
  void output(const std::string& name, const Dims& dims, const std::string& meaning);

  // The bytes of a file with this graph. Throws UsageError where it is larger than ONNX's format can be.
  std::string file(const std::string& name, const std::map<std::string, std::string>& metadata) const;

 private:
  std::vector<OnnxNode> nodes_;
  ProtobufMessage constants_, ends_;  // of the graph's message
};

// Throws UsageError where a model of so many bytes is more than a file of ONNX can hold.
void check_onnx_size(std::uint64_t bytes);

}  // namespace lockstep
