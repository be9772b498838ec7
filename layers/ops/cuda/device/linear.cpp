#include <fmt/format.h>

#include <algorithm>

#include "layers/ops/cuda/device/check.h"
#include "layers/ops/cuda/device/device.h"
#include "layers/ops/cuda/elementwise.h"
#include "layers/ops/cuda/kernels.h"

namespace lockstep::cuda {
namespace {

// A row-major matrix, as it is stored or transposed.
struct Matrix {
  const void* values;
  cudaDataType_t type;
  std::int64_t columns;  // as stored
  bool transposed;
};

struct Product {
  std::int64_t rows, columns, inner;
};

// result[rows, columns] = left[rows, inner] · right[inner, columns]. cuBLAS has column-major matrices, in
// which it is resultᵀ = rightᵀ · leftᵀ.
void multiply(cublasHandle_t handle, const Product& shape, const Matrix& left, const Matrix& right,
              void* result, cudaDataType_t type, cublasComputeType_t compute) {
  const float one = 1;
  const float zero = 0;
  const auto operation = [](const Matrix& matrix) { return matrix.transposed ? CUBLAS_OP_T : CUBLAS_OP_N; };
  check(cublasGemmEx_64(handle, operation(right), operation(left), shape.columns, shape.rows, shape.inner,
                        &one, right.values, right.type, right.columns, left.values, left.type, left.columns,
                        &zero, result, type, shape.columns, compute, CUBLAS_GEMM_DEFAULT),
        fmt::format("a product of {} x {} x {}", shape.rows, shape.inner, shape.columns));
}

// Activations, their gradients and the weight that products read are of type E; sums are in fp32, and so are
// weight gradients.
template <class E>
class LinearKernel final : public Kernel {
 public:
  LinearKernel(const Device& device, const Linear& linear, const KernelShape& shape)
      : device_(device), linear_(linear), samples_(shape.samples), tf32_(device.tf32() && shape.training) {}

  std::size_t scratch_bytes() const override {
    if (!linear_.bias) return 0;
    const std::size_t exact = is_fp32 ? 0 : static_cast<std::size_t>(samples_ * linear_.out) * sizeof(float);
    return std::max(exact, sum_rows_scratch_bytes(samples_, linear_.out));
  }
  std::size_t prepared_bytes(Pass /*pass*/) const override {
    return is_fp32 ? 0 : static_cast<std::size_t>(linear_.in * linear_.out) * sizeof(E);
  }

  void prepare(Pass /*pass*/, std::array<const float*, max_parameters> parameters,
               std::byte* memory) override {
    if constexpr (!is_fp32) {
      convert(device_.runner(0), parameters[0], reinterpret_cast<E*>(memory), linear_.in * linear_.out);
    }
    weight_ = memory;
  }

  void forward(const ForwardArguments& arguments) const override {
    const int thread = arguments.position.thread;
    const auto multiply_into = [&](void* result, cudaDataType_t result_type) {
      multiply(device_.cublas(thread), {samples_, linear_.out, linear_.in},
               {arguments.inputs[0], type, linear_.in, false},
               {weight(arguments.parameters), type, linear_.in, true}, result, result_type, compute());
    };
    if (!linear_.bias) return multiply_into(arguments.output, type);
    // In fp32 until the bias is in, so that it is rounded once.
    auto* const exact = static_cast<float*>(is_fp32 ? arguments.output : arguments.scratch);
    multiply_into(exact, CUDA_R_32F);
    add_bias(device_.runner(thread), arguments.parameters[1], samples_, linear_.out,
             static_cast<const float*>(exact), static_cast<E*>(arguments.output));
  }

  void backward(const BackwardArguments& arguments) const override {
    const int thread = arguments.position.thread;
    const Matrix gradient{arguments.output_gradient, type, linear_.out, false};
    if (arguments.input_gradients[0] != nullptr) {
      multiply(device_.cublas(thread), {samples_, linear_.in, linear_.out}, gradient,
               {weight(arguments.parameters), type, linear_.in, false}, arguments.input_gradients[0], type,
               compute());
    }
    multiply(device_.cublas(thread), {linear_.out, linear_.in, samples_},
             {arguments.output_gradient, type, linear_.out, true},
             {arguments.inputs[0], type, linear_.in, false}, arguments.parameter_gradients[0], CUDA_R_32F,
             compute());
    if (!linear_.bias) return;
    sum_rows(device_.runner(thread), static_cast<const E*>(arguments.output_gradient), samples_, linear_.out,
             arguments.scratch, arguments.parameter_gradients[1]);
  }

 private:
  static constexpr bool is_fp32 = std::is_same_v<E, float>;
  static constexpr cudaDataType_t type = is_fp32 ? CUDA_R_32F : CUDA_R_16BF;

  cublasComputeType_t compute() const {
    if (!is_fp32) return CUBLAS_COMPUTE_32F;
    return tf32_ ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F_PEDANTIC;
  }
  const void* weight(const std::array<const float*, max_parameters>& parameters) const {
    if constexpr (is_fp32) return parameters[0];
    return weight_;
  }

  const Device& device_;
  Linear linear_;
  std::int64_t samples_;
  bool tf32_;
  const std::byte* weight_ = nullptr;  // as products read it, where it is not fp32
};

}  // namespace

template <class Any>
std::unique_ptr<Kernel> make_linear(const Any& device, const Linear& linear, const KernelShape& shape) {
  return with_element(shape.element, [&](auto element) -> std::unique_ptr<Kernel> {
    return std::make_unique<LinearKernel<decltype(element)>>(device, linear, shape);
  });
}
template std::unique_ptr<Kernel> make_linear(const Device&, const Linear&, const KernelShape&);

}  // namespace lockstep::cuda
