// The console starts here.
import { render } from "preact";

render(<main><h1>Stemwright</h1></main>, document.body);
