# One set of compile options for every target of the project.
#
# -ffp-contract=off and the absence of any fast-math flag belong to the promise: an expression means
# the same in a vector loop, in its tail and in a test. So whoever builds on the libraries gets it too; our warnings
# are for ourselves.
add_library(lockstep_options INTERFACE)
target_compile_features(lockstep_options INTERFACE cxx_std_20)
target_include_directories(lockstep_options INTERFACE $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}>)
target_compile_options(lockstep_options INTERFACE
  $<$<COMPILE_LANGUAGE:CXX>:-march=x86-64-v3 -ffp-contract=off>
  $<BUILD_INTERFACE:$<$<COMPILE_LANGUAGE:CXX>:-Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -Woverloaded-virtual -Werror>>)
# nvcc's own warnings, and those of the compiler behind it; what it makes for that one is not pedantic. --fmad=false is
# for GPUs what -ffp-contract=off is for processors.
target_compile_options(lockstep_options INTERFACE
  $<$<COMPILE_LANGUAGE:CUDA>:--fmad=false --expt-relaxed-constexpr -Xcompiler=-march=x86-64-v3,-ffp-contract=off>
  $<BUILD_INTERFACE:$<$<COMPILE_LANGUAGE:CUDA>:-Werror=all-warnings -Xcompiler=-Wall,-Wextra,-Werror>>)

foreach(sanitizer IN LISTS LOCKSTEP_SANITIZE)
  target_compile_options(lockstep_options INTERFACE
    -fsanitize=${sanitizer} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  target_link_options(lockstep_options INTERFACE -fsanitize=${sanitizer})
endforeach()
if(LOCKSTEP_SANITIZE)
  # What the sanitizers put in between makes GCC see uninitialized members in its own std::regex.
  target_compile_options(lockstep_options INTERFACE $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>)
endif()

if(LOCKSTEP_FUZZ)
  # clang says of each `omp simd` loop that the sanitizers keep it from being one.
  target_compile_options(lockstep_options INTERFACE -fsanitize=fuzzer-no-link -Wno-pass-failed)
  target_link_options(lockstep_options INTERFACE -fsanitize=fuzzer-no-link)
endif()
