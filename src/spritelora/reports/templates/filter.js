const bar = document.getElementById('filter');
bar.hidden = false;
bar.addEventListener('click', event => {
  const button = event.target.closest('button');
  if (!button) return;
  for (const other of bar.children) other.setAttribute('aria-pressed', String(other === button));
  for (const card of document.querySelectorAll('#sprites figure'))
    card.hidden = button.value !== '' && !card.dataset.kinds.split(' ').includes(button.value);
});
