import { Command } from 'commander';
import { beforeAll, describe, expect, test, vi } from 'vitest';
import { choose, computeNames } from '../../gpu/choose.ts';
import { addDoctorCommand, doctorTable } from '../../gpu/command.ts';
import { diagnose, type Diagnosis } from '../../gpu/doctor.ts';
import { cudaFailure, gpusInUse, missingLibraries } from '../../gpu/native-load.ts';

let diagnosis: Diagnosis;

beforeAll(async () => {
  diagnosis = await diagnose();
});

describe('diagnose', () => {
  test('reports on every backend, and wasm and cpu work', () => {
    expect(diagnosis.backends.map(({ name }) => name)).toEqual(computeNames);
    for (const name of ['wasm', 'cpu']) {
      expect(diagnosis.backends.find((record) => record.name === name)?.status).toBe('works');
    }
  });

  test('a backend that works has a device and a version, one that does not has a reason and a remedy', () => {
    for (const { status, device, version, reason, remedy, seconds } of diagnosis.backends) {
      const told = status === 'works' ? [device, version] : [reason, remedy];
      for (const text of told) expect(text).toMatch(/./);
      if (status !== 'works') expect([device, version]).toEqual([null, null]);
      expect(seconds).toBeGreaterThanOrEqual(0);
    }
  });

  test('names the backend that auto takes', async () => {
    expect((await choose('auto')).name).toBe(diagnosis.auto);
  });

  test('describes the machine', () => {
    expect(diagnosis.node).toBe(process.versions.node);
    expect(diagnosis.cores).toBeGreaterThan(0);
    expect(diagnosis.memoryGiB).toBeGreaterThan(0);
  });
});

describe('matryoshka doctor', () => {
  test('prints every backend, and the remedy of each that does not work', () => {
    const text = doctorTable(diagnosis);
    for (const { name, status, remedy } of diagnosis.backends) {
      expect(text).toContain(name);
      expect(text).toContain(status);
      if (remedy !== null) expect(text).toContain(remedy);
    }
    expect(text).toContain('`--backend auto` takes');
    expect(text.endsWith('\n')).toBe(true);
  });

  test('says so if nothing works', () => {
    expect(doctorTable({ ...diagnosis, auto: null })).toContain('No backend works');
  });

  test('--json prints the diagnosis as one JSON object, and the exit status is 0', async () => {
    const written: string[] = [];
    const write = vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
      written.push(String(text));
      return true;
    });
    const before = process.exitCode;
    try {
      const program = new Command();
      addDoctorCommand(program);
      await program.parseAsync(['node', 'matryoshka', 'doctor', '--json']);
      expect(process.exitCode).toBe(0);
    } finally {
      write.mockRestore();
      process.exitCode = before;
    }
    const printed = JSON.parse(written.join('')) as Diagnosis;
    expect(printed.backends.map(({ name, status }) => [name, status])).toEqual(
      diagnosis.backends.map(({ name, status }) => [name, status]),
    );
  });
});

describe('the log of TensorFlow', () => {
  test('names each library that is missing, once', () => {
    const log = [
      "W dso_loader.cc:64] Could not load dynamic library 'libcudart.so.11.0'; dlerror: libcudart.so.11.0: cannot open",
      "W dso_loader.cc:64] Could not load dynamic library 'libcudnn.so.8'; dlerror: libcudnn.so.8: cannot open",
    ].join('\n');
    expect(missingLibraries(log)).toEqual(['libcudart.so.11.0', 'libcudnn.so.8']);
    expect(missingLibraries('I port.cc:153] oneDNN custom operations are on.')).toEqual([]);
  });

  test('names the GPUs in use with the memory that TensorFlow has of each', () => {
    const log = [0, 1]
      .map(
        (gpu) =>
          `I0000 00:00:1.2 3 gpu_device.cc:2020] Created device /job:localhost/replica:0/task:0/device:GPU:${gpu} with 136192 MB memory:  -> device: ${gpu}, name: NVIDIA H200, pci bus id: 0000:1${gpu}:00.0, compute capability: 9.0`,
      )
      .join('\n');
    const one = 'NVIDIA H200, compute capability 9.0, 133 GiB for TensorFlow';
    expect(gpusInUse(log)).toEqual([one, one]);
    expect(gpusInUse('I port.cc:153] oneDNN custom operations are on.')).toEqual([]);
  });

  test('says why CUDA does not start', () => {
    const log =
      'E0000 00:00:1.2 3 cuda_platform.cc:52] failed call to cuInit: INTERNAL: CUDA error: UNKNOWN ERROR (303)\nmore\n';
    expect(cudaFailure(log)).toBe(
      'failed call to cuInit: INTERNAL: CUDA error: UNKNOWN ERROR (303)',
    );
    expect(cudaFailure('I port.cc:153] oneDNN custom operations are on.')).toBe(null);
  });
});
