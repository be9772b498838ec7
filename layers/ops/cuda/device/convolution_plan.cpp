#include "layers/ops/cuda/device/convolution_plan.h"

#include <fmt/format.h>

#include <stdexcept>
#include <unordered_map>
#include <vector>

namespace lockstep::cuda {
namespace {

namespace fe = cudnn_frontend;
using Attributes = fe::graph::Tensor_attributes;
using Tensor = std::shared_ptr<Attributes>;

// What a graph calls its tensors.
enum Uid : std::int64_t { left_uid = 1, right_uid, result_uid };

void check(fe::error_t error, const std::string& what) {
  if (error.is_good()) return;
  throw std::runtime_error(fmt::format("cuDNN: {} failed: {}", what, error.get_message()));
}

std::string describe(const ConvolutionProblem& p, ConvolutionPass pass) {
  const Convolution& c = p.convolution;
  const auto name = [&] {
    switch (pass) {
      case ConvolutionPass::forward:
        return "forward";
      case ConvolutionPass::backward_data:
        return "backward to its input";
      case ConvolutionPass::backward_weight:
        return "backward to its weight";
    }
    return "";
  };
  return fmt::format("convolution {}x{} of {} to {} (stride {}, padding {}, groups {}, {} samples), {},",
                     c.kernel_height, c.kernel_width, to_string(c.in), to_string(c.out), c.stride, c.padding,
                     c.groups, p.samples, name());
}

// cuDNN names dimensions NCHW, whatever their order in memory, which is NHWC here.
std::vector<std::int64_t> dims(std::int64_t count, const SampleShape& image) {
  return {count, image.channels, image.height, image.width};
}
std::vector<std::int64_t> strides(const SampleShape& image) {
  return {image.elements(), 1, image.width * image.channels, image.channels};
}

Attributes described(std::int64_t count, const SampleShape& image, fe::DataType_t type, Uid uid) {
  return Attributes().set_dim(dims(count, image)).set_stride(strides(image)).set_data_type(type).set_uid(uid);
}

template <class Pass>
Pass window_of(const Convolution& c) {
  return Pass().set_padding({c.padding, c.padding}).set_stride({c.stride, c.stride}).set_dilation({1, 1});
}

// Adds the operation and answers its result.
Tensor add_operation(fe::graph::Graph& graph, const ConvolutionProblem& p, ConvolutionPass pass) {
  const Convolution& c = p.convolution;
  const auto type = p.element == Element::bf16 ? fe::DataType_t::BFLOAT16 : fe::DataType_t::FLOAT;
  const SampleShape filter{c.kernel_height, c.kernel_width, c.in.channels / c.groups};
  const auto tensor = [&](std::int64_t count, const SampleShape& image, Uid uid) {
    return graph.tensor(described(count, image, type, uid));
  };
  const auto result = [](const Tensor& made, std::int64_t count, const SampleShape& image,
                         fe::DataType_t as) {
    made->set_output(true)
        .set_dim(dims(count, image))
        .set_stride(strides(image))
        .set_data_type(as)
        .set_uid(result_uid);
    return made;
  };
  switch (pass) {
    case ConvolutionPass::forward: {
      const auto x = tensor(p.samples, c.in, left_uid);
      const auto w = tensor(c.out.channels, filter, right_uid);
      const auto made = graph.conv_fprop(x, w, window_of<fe::graph::Conv_fprop_attributes>(c));
      return result(made, p.samples, c.out, type);
    }
    case ConvolutionPass::backward_data: {
      const auto dy = tensor(p.samples, c.out, left_uid);
      const auto w = tensor(c.out.channels, filter, right_uid);
      const auto made = graph.conv_dgrad(dy, w, window_of<fe::graph::Conv_dgrad_attributes>(c));
      return result(made, p.samples, c.in, type);
    }
    case ConvolutionPass::backward_weight: {
      const auto dy = tensor(p.samples, c.out, left_uid);
      const auto x = tensor(p.samples, c.in, right_uid);
      const auto made = graph.conv_wgrad(dy, x, window_of<fe::graph::Conv_wgrad_attributes>(c));
      return result(made, c.out.channels, filter, fe::DataType_t::FLOAT);
    }
  }
  throw std::logic_error("a pass of no kind");
}

std::vector<fe::NumericalNote_t> forbidden(const ConvolutionProblem& p) {
  std::vector<fe::NumericalNote_t> notes{fe::NumericalNote_t::NONDETERMINISTIC,
                                         fe::NumericalNote_t::REDUCED_PRECISION_REDUCTION};
  if (p.element == Element::f32 && !p.tf32) {
    notes.push_back(fe::NumericalNote_t::TENSOR_CORE);
    notes.push_back(fe::NumericalNote_t::DOWN_CONVERT_INPUTS);
  }
  return notes;
}

}  // namespace

ConvolutionPlan::ConvolutionPlan(cudnnHandle_t handle, const ConvolutionProblem& problem,
                                 ConvolutionPass pass)
    : what_(describe(problem, pass)) {
  graph_.set_compute_data_type(fe::DataType_t::FLOAT).set_intermediate_data_type(fe::DataType_t::FLOAT);
  add_operation(graph_, problem, pass);
  check(graph_.validate(), what_ + " described to it,");
  check(graph_.build_operation_graph(handle), what_ + " described to it,");
  check(graph_.create_execution_plans({fe::HeurMode_t::A, fe::HeurMode_t::FALLBACK}), what_ + " its choice");
  graph_.deselect_numeric_notes(forbidden(problem));
  check(graph_.check_support(handle), what_ + " its choice");
  check(graph_.build_plans(handle, fe::BuildPlanPolicy_t::HEURISTICS_CHOICE), what_ + " its plan");
  std::int64_t bytes = 0;
  check(graph_.get_workspace_size(bytes), what_ + " its memory");
  workspace_bytes_ = static_cast<std::size_t>(bytes);
}

void ConvolutionPlan::run(cudnnHandle_t handle, const void* left, const void* right, void* result,
                          std::byte* workspace) const {
  // cuDNN takes what it only reads as if it wrote there.
  std::unordered_map<std::int64_t, void*> tensors{
      {left_uid, const_cast<void*>(left)}, {right_uid, const_cast<void*>(right)}, {result_uid, result}};
  check(graph_.execute(handle, tensors, workspace), what_);
}

}  // namespace lockstep::cuda
