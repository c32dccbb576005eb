// Asks the server once a second, by the name that mesh/hello.yaml gives it.
const url = process.argv[2] ?? 'http://hello/';

for (;;) {
  try {
    const response = await fetch(url, { headers: { connection: 'close' }, signal: AbortSignal.timeout(5_000) });
    console.log(response.status, (await response.text()).trim());
  } catch (error) {
    console.log('no answer:', error.cause?.code ?? error.message);
  }
  await new Promise((resolve) => setTimeout(resolve, 1_000));
}
