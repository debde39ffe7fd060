/**
 * What `matryoshka setup tensorflow` downloads: exact files, known by their hashes, so that everybody gets the TensorFlow
 * that the conformance suite was run on. Names and versions are looked up in the package indexes that pip and npm are
 * configured for.
 * @module
 */

/** Of TensorFlow. */
export const tensorflowVersion = '2.21.0';

/** Raised when a folder built by an older version of this program is not to be used any more. */
export const RECIPE = 1;

/** TensorFlow's libraries call functions of this glibc and none newer: the 2_27 in its wheel's name. */
export const oldestGlibc = '2.27';

/** CUDA 12 runs on this driver and every later one (CUDA's release notes, minor version compatibility). */
export const oldestDriver = 525;

export interface Wheel {
  /** Its name in the index: name, version, Python, ABI and platforms, separated by dashes. */
  readonly file: string;
  readonly sha256: string;
  readonly bytes: number;
  /** Bytes of what is taken from it. */
  readonly unpacked: number;
  /** Patterns of the files to take; `*` matches any characters, `/` among them. */
  readonly take: readonly string[];
}

export interface NpmPackage {
  readonly name: string;
  readonly version: string;
  /** As npm writes it: `sha512-` and base64. */
  readonly integrity: string;
  /** As in {@link Wheel}; below `package/`. */
  readonly take: readonly string[];
}

const tensorflowFiles = [
  'tensorflow/libtensorflow_*.so.2',
  'tensorflow/include/tensorflow/c/*.h',
  'tensorflow/include/*/platform/ctstring*.h',
  'tensorflow/include/xla/tsl/c/tsl_status.h',
];
const libraries = ['nvidia/*/lib/*.so*'];
/** What TensorFlow compiles kernels with for GPUs newer than itself. */
const ptxasFiles = ['nvidia/cuda_nvcc/bin/ptxas', 'nvidia/cuda_nvcc/nvvm/libdevice/*'];

/** `cuda` is what `pip install tensorflow[and-cuda]` takes. */
export const wheels: Readonly<Record<'cpu' | 'cuda', readonly Wheel[]>> = {
  cpu: [
    {
      file: 'tensorflow_cpu-2.21.0-cp312-cp312-manylinux_2_27_x86_64.whl',
      sha256: 'dcc8afd32930e42d5296b6ee19078b773706830af4ea97fbe503b9f5e0f820cb',
      bytes: 274_000_871,
      unpacked: 853_888_894,
      take: tensorflowFiles,
    },
  ],
  cuda: [
    {
      file: 'tensorflow-2.21.0-cp312-cp312-manylinux_2_27_x86_64.whl',
      sha256: 'b3b95643c4e70eb925839938fb35cbe142f317ec84af6844ee61513713bb13c0',
      bytes: 572_611_111,
      unpacked: 1_259_601_038,
      take: tensorflowFiles,
    },
    {
      file: 'nvidia_cublas_cu12-12.9.3.13-py3-none-manylinux_2_27_x86_64.whl',
      sha256: 'd7d51055f161b317c7105ddaae90e71eda059026074ffef93cf7cde2886bfe72',
      bytes: 581_217_458,
      unpacked: 855_064_416,
      take: libraries,
    },
    {
      file: 'nvidia_cuda_cupti_cu12-12.9.79-py3-none-manylinux_2_25_x86_64.whl',
      sha256: '096bcf334f13e1984ba36685ad4c1d6347db214de03dbb6eebb237b41d9d934f',
      bytes: 10_814_997,
      unpacked: 43_365_768,
      take: libraries,
    },
    {
      file: 'nvidia_cuda_nvcc_cu12-12.9.86-py3-none-manylinux2010_x86_64.manylinux_2_12_x86_64.whl',
      sha256: '5d6a0d32fdc7ea39917c20065614ae93add6f577d840233237ff08e9a38f58f0',
      bytes: 40_546_229,
      unpacked: 35_417_224,
      take: ptxasFiles,
    },
    {
      file: 'nvidia_cuda_nvrtc_cu12-12.9.86-py3-none-manylinux2010_x86_64.manylinux_2_12_x86_64.whl',
      sha256: '210cf05005a447e29214e9ce50851e83fc5f4358df8b453155d5e1918094dcb4',
      bytes: 89_568_129,
      unpacked: 227_340_992,
      take: libraries,
    },
    {
      file: 'nvidia_cuda_runtime_cu12-12.9.79-py3-none-manylinux2014_x86_64.manylinux_2_17_x86_64.whl',
      sha256: '25bba2dfb01d48a9b59ca474a1ac43c6ebf7011f1b0b8cc44f54eb6ac48a96c3',
      bytes: 3_493_179,
      unpacked: 741_088,
      take: libraries,
    },
    {
      file: 'nvidia_cudnn_cu12-9.28.0.42-py3-none-manylinux_2_27_x86_64.whl',
      sha256: '9ff58b7f36dacd0a93e89f8f2957b52466889217963701daa15e577317cfa375',
      bytes: 716_538_495,
      unpacked: 1_162_393_472,
      take: libraries,
    },
    {
      file: 'nvidia_cufft_cu12-11.4.1.4-py3-none-manylinux2014_x86_64.manylinux_2_17_x86_64.whl',
      sha256: 'c67884f2a7d276b4b80eb56a79322a95df592ae5e765cf1243693365ccab4e28',
      bytes: 200_877_592,
      unpacked: 293_609_416,
      take: libraries,
    },
    {
      file: 'nvidia_curand_cu12-10.3.10.19-py3-none-manylinux_2_27_x86_64.whl',
      sha256: '49b274db4780d421bd2ccd362e1415c13887c53c214f0d4b761752b8f9f6aa1e',
      bytes: 68_295_626,
      unpacked: 166_965_432,
      take: libraries,
    },
    {
      file: 'nvidia_cusolver_cu12-11.7.5.82-py3-none-manylinux_2_27_x86_64.whl',
      sha256: '15da72d1340d29b5b3cf3fd100e3cd53421dde36002eda6ed93811af63c40d88',
      bytes: 338_117_415,
      unpacked: 494_975_064,
      take: libraries,
    },
    {
      file: 'nvidia_cusparse_cu12-12.5.10.65-py3-none-manylinux2014_x86_64.manylinux_2_17_x86_64.whl',
      sha256: '73060ce019ac064a057267c585bf1fd5a353734151f87472ff02b2c5c9984e78',
      bytes: 366_465_088,
      unpacked: 486_556_368,
      take: libraries,
    },
    {
      file: 'nvidia_nccl_cu12-2.32.3-py3-none-manylinux_2_27_x86_64.whl',
      sha256: 'bb94b2348e4861d5e8aa00b36c3d12d9bdf9c6369b82cbb723de0b582280a21c',
      bytes: 351_526_311,
      unpacked: 473_614_536,
      take: libraries,
    },
    {
      file: 'nvidia_nvjitlink_cu12-12.9.86-py3-none-manylinux2010_x86_64.manylinux_2_12_x86_64.whl',
      sha256: 'e3f1171dbdc83c5932a45f0f4c99180a70de9bd2718c1ab77d14104f6d7147f9',
      bytes: 39_748_338,
      unpacked: 95_935_344,
      take: libraries,
    },
  ],
};

/** The package, its one dependency at run time, and the headers of Node's stable C interface. */
export const npmPackages: Readonly<Record<'tfjs' | 'protobuf' | 'headers', NpmPackage>> = {
  tfjs: {
    name: '@tensorflow/tfjs-node-gpu',
    version: '4.22.0',
    integrity:
      'sha512-p//NN6DGiN4hInUmIkRffaFVMcdTREUMjPyjW04J7OXvB2zBlQimj61eFKSgRrH3f5TnOfKzb0n56he/B6a4bw==',
    take: ['package/package.json', 'package/dist/*.js', 'package/binding/*'],
  },
  protobuf: {
    name: 'google-protobuf',
    version: '3.21.4',
    integrity:
      'sha512-MnG7N936zcKTco4Jd2PX2U96Kf9PxygAPKBug+74LHzmHXmceN16MmRcdgZv+DGef/S9YvQAfRsNCn4cjf9yyQ==',
    take: ['package/package.json', 'package/google-protobuf.js'],
  },
  headers: {
    name: 'node-api-headers',
    version: '1.9.0',
    integrity:
      'sha512-2oNILP4jXwRB4ywnYKjVk1YyJ96n2D4EOVJO6S3oYZ5PtbJrw3Yt9TpAuX3nBLMuzn74rnfGQrv13pS9vC+YiA==',
    take: ['package/include/*.h'],
  },
};
