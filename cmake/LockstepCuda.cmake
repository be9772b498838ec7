# The compiler and NVIDIA's libraries for layers/ops/cuda and comm/nccl, where LOCKSTEP_CUDA is on. One toolkit has all.
set(LOCKSTEP_CUDA_TOOLKIT ${PROJECT_SOURCE_DIR}/build/cuda_toolkit CACHE PATH "A CUDA toolkit from 13 on, with cuDNN and NCCL")
find_program(LOCKSTEP_NVCC nvcc PATHS ${LOCKSTEP_CUDA_TOOLKIT}/bin NO_DEFAULT_PATH)
mark_as_advanced(LOCKSTEP_NVCC)
if(NOT LOCKSTEP_NVCC)
  message(FATAL_ERROR "LOCKSTEP_CUDA is on, but there is no nvcc in ${LOCKSTEP_CUDA_TOOLKIT}/bin. "
    "scripts/cuda_toolkit.sh brings a toolkit to build/cuda_toolkit; LOCKSTEP_CUDA_TOOLKIT names one that is installed.")
endif()

# CMake keeps the compiler and the libraries that it found first.
file(REAL_PATH ${LOCKSTEP_NVCC} found)
file(REAL_PATH ${LOCKSTEP_CUDA_TOOLKIT}/bin/nvcc wanted)
if(NOT found STREQUAL wanted)
  message(FATAL_ERROR "${CMAKE_BINARY_DIR} was configured for another CUDA toolkit, whose compiler is ${found}. For that in "
    "${LOCKSTEP_CUDA_TOOLKIT} configure it anew: add --fresh.")
endif()

# Ampere, Hopper, Blackwell.
set(CMAKE_CUDA_ARCHITECTURES 80 90 100 CACHE STRING "GPUs to compile for")
set(CMAKE_CUDA_COMPILER ${LOCKSTEP_NVCC})
enable_language(CUDA)
if(NOT DEFINED CMAKE_CUDA20_STANDARD_COMPILE_OPTION) # CMake 3.25 does not know that nvcc does
  set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION -std=c++20)
  set(CMAKE_CUDA20_EXTENSION_COMPILE_OPTION -std=c++20)
endif()
# The compiler behind nvcc does not find C's headers where it is given its own folder of them once more.
list(APPEND CMAKE_CUDA_IMPLICIT_INCLUDE_DIRECTORIES ${CMAKE_CXX_IMPLICIT_INCLUDE_DIRECTORIES})
if(CCACHE)
  set(CMAKE_CUDA_COMPILER_LAUNCHER ${CCACHE})
endif()

set(CUDAToolkit_ROOT ${LOCKSTEP_CUDA_TOOLKIT})
find_package(CUDAToolkit 13 REQUIRED)
foreach(library IN ITEMS cublas cudnn nccl nvrtc)
  set(header ${library})
  if(library STREQUAL cublas)
    set(header cublas_v2)
  endif()
  find_path(LOCKSTEP_${library}_INCLUDE ${header}.h HINTS ${LOCKSTEP_CUDA_TOOLKIT}/include REQUIRED)
  find_library(LOCKSTEP_${library}_LIBRARY ${library} HINTS ${LOCKSTEP_CUDA_TOOLKIT}/lib64 REQUIRED)
  mark_as_advanced(LOCKSTEP_${library}_INCLUDE LOCKSTEP_${library}_LIBRARY)
endforeach()
# Headers alone; scripts/test.sh brings them where a toolkit has none.
find_path(LOCKSTEP_cudnn_frontend_INCLUDE cudnn_frontend.h
  HINTS ${LOCKSTEP_CUDA_TOOLKIT}/include ${PROJECT_SOURCE_DIR}/build/cudnn_frontend/include REQUIRED)
mark_as_advanced(LOCKSTEP_cudnn_frontend_INCLUDE)

# Gives a target of ours the headers of CUDA's runtime and of these of NVIDIA's libraries.
function(include_nvidia target)
  target_include_directories(${target} SYSTEM PRIVATE ${CUDAToolkit_INCLUDE_DIRS})
  foreach(library IN LISTS ARGN)
    target_include_directories(${target} SYSTEM PRIVATE ${LOCKSTEP_${library}_INCLUDE})
  endforeach()
endfunction()

# And the libraries themselves. By their paths, so that an installed lockstep needs no package of CMake to find them.
function(link_nvidia target)
  target_link_libraries(${target} PRIVATE ${CUDA_cudart_static_LIBRARY} rt dl)
  foreach(library IN LISTS ARGN)
    target_link_libraries(${target} PRIVATE ${LOCKSTEP_${library}_LIBRARY})
  endforeach()
endfunction()
